#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/engine.h"
#include "cuda_host/control.h"
#include "support/catch.h"
#include "support/close.h"
#include "support/tensors.h"

/// The CUDA engine on the emulated device, for the tests that every engine must pass.
namespace lomo::test {

/// One way the emulated device can go about its work.
struct Setup {
  std::string name;
  cuda_host::Policy policy;
  std::unique_ptr<Backend> make() const {
    cuda_host::follow(policy);
    return std::make_unique<cuda::CudaBackend>(EngineOptions{.memory = std::size_t{1} << 30});
  }
};

inline std::vector<Setup> setups() {
  using cuda_host::Order;
  return {{"lazy, first threads first", {Order::forward, 1, true, true}},
          {"eager, last threads first", {Order::reverse, 1, false, false}}};
}

/// Relative error of square_sums: f32 within a tile, in any order.
inline double square_sums_roundoff(std::int64_t terms) {
  return gamma_f32(terms + 1);
}

/// Where another engine has some number of threads this one has another order.
inline std::unique_ptr<Backend> engine(int threads = 2) {
  return setups()[static_cast<std::size_t>(threads % 2)].make();
}

}  // namespace lomo::test
