#include "wait_policy.h"

#include <unistd.h>

#include <cstdlib>

namespace lomo::app {

void settle_wait_policy(char** argv) {
  constexpr char const* kMarker = "LOMO_TRAIN_RESTARTED";
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv(kMarker) != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  setenv(kMarker, "1", 1);
  execv("/proc/self/exe", argv);
  // Without /proc the run is only slower.
}

}  // namespace lomo::app
