#pragma once
// What is asked of the tuned kernels' use of memory.
#include <functional>

#include "cuda_host/watch.h"
#include "device.h"

namespace lomo::test {

/// Runs `work` on a fresh device. No race; every access to shared memory passes over the banks as
/// often as its bytes need; every access to global memory of 8 or 16 bytes a lane touches as many
/// sectors as its bytes need. Narrower ones (a value a row: statistics, positions, indices) may
/// touch more, by at most `scattered` of all the sectors that the work needs.
inline void check_traffic(std::function<void()> const& work, double scattered = 0.02) {
  using cuda_host::Space;
  cuda_host::reset();
  work();
  require(cudaDeviceSynchronize());
  REQUIRE(cuda_host::report() == "");
  double needed = 0, excess = 0;
  bool loads = false, stores = false;
  for (cuda_host::Traffic const& t : cuda_host::traffic()) {
    INFO((t.store ? "store of " : "load of ")
         << t.bytes << " bytes a lane at " << t.where << ", " << t.warps << " times, "
         << (t.space == Space::global ? "sectors" : "passes over the banks"));
    if (t.space == Space::shared || t.bytes >= 8) CHECK(t.factor() == 1);
    if (t.space == Space::shared) continue;
    (t.store ? stores : loads) = true;
    needed += static_cast<double>(t.needed);
    excess += static_cast<double>(t.touched - t.needed);
  }
  CHECK(loads);
  CHECK(stores);
  CHECK(excess / needed <= scattered);
}

}  // namespace lomo::test
