#include "wait_policy.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "lomo/launch/stop.h"

namespace lomo::launch {

void set_wait_policy(char** argv) {
  constexpr char const* kMarker = "LOMO_TRAIN_RESTARTED";
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv(kMarker) != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  setenv(kMarker, "1", 1);
  // By its own path, so that the process keeps its name. Without /proc the run is only slower.
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return;
  hold_stops();
  execv(self.c_str(), argv);
  listen_for_stop();
}

}  // namespace lomo::launch
