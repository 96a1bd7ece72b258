#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lomo/backend/plugin.h"
#include "support/catch.h"
#include "support/close.h"
#include "support/tensors.h"

/// The CUDA engine on the machine's GPU, for the tests that every engine must pass.
namespace lomo::test {

inline std::unique_ptr<Backend> engine(int = 0) {
  return open_cuda_plugin().make(EngineOptions{.memory = std::size_t{1} << 30});
}

struct Setup {
  std::string name;
  std::unique_ptr<Backend> make() const { return engine(); }
};
inline std::vector<Setup> setups() {
  return {{"the GPU"}};
}

/// Relative error of square_sums: f32 within a tile, in any order.
inline double square_sums_roundoff(std::int64_t terms) {
  return gamma_f32(terms + 1);
}

}  // namespace lomo::test
