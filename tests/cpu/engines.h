#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "gemm.h"
#include "support/catch.h"
#include "support/close.h"
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

/// Relative error of square_sums: f64, rounded once.
inline double square_sums_roundoff(std::int64_t) {
  return 1.001 * 0x1p-24;
}

inline std::unique_ptr<cpu::CpuBackend> engine(int threads = 2) {
  return std::make_unique<cpu::CpuBackend>(EngineOptions{threads, std::size_t{1} << 30});
}

}  // namespace lomo::test
