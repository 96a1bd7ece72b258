#pragma once
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "gemm.h"
#include "support/catch.h"
#include "support/tensors.h"

namespace lomo::test {

/// One way the CPU engine can be set up.
struct Setup {
  std::string name;
  int threads;
  cpu::Bf16Products bf16;
  cpu::WeightTiles tiles;
  std::unique_ptr<cpu::CpuBackend> make() const {
    return std::make_unique<cpu::CpuBackend>(EngineOptions{threads, std::size_t{1} << 30}, bf16,
                                             tiles);
  }
};

/// What this machine would choose, with one and two threads, and what lesser machines choose.
inline std::vector<Setup> setups() {
  const auto best = cpu::best_bf16_products();
  const auto tiles =
      cpu::Gemm::extents_do_not_matter() ? cpu::WeightTiles::as_asked : cpu::WeightTiles::panels;
  return {{"best, 1 thread", 1, best, tiles},
          {"best, 2 threads", 2, best, tiles},
          {"widened, panels", 2, cpu::Bf16Products::widened, cpu::WeightTiles::panels}};
}

inline std::unique_ptr<cpu::CpuBackend> engine(int threads = 2) {
  return std::make_unique<cpu::CpuBackend>(EngineOptions{threads, std::size_t{1} << 30});
}

/// |got - wanted| <= bound, element by element; NaN fails.
inline void check_within(std::vector<double> const& got, std::vector<double> const& wanted,
                         std::vector<double> const& bound) {
  REQUIRE(got.size() == wanted.size());
  REQUIRE(bound.size() == wanted.size());
  std::size_t wrong = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::abs(got[i] - wanted[i]) <= bound[i]) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return;
  FAIL(wrong << " of " << got.size() << " elements differ, first [" << first << "]: " << got[first]
             << ", wanted " << wanted[first] << " within " << bound[first]);
}

inline std::vector<double> widened(std::vector<float> const& v) {
  return {v.begin(), v.end()};
}

}  // namespace lomo::test
