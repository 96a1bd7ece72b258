#pragma once
#include <utility>

#include "support/environment.h"

namespace lomo::test {

/// In what the program says of its engine.
#ifdef LOMO_CUDA_TEST_ON_GPU
inline constexpr char const* kEngineName = "CUDA on ";
#else
inline constexpr char const* kEngineName = "CUDA on emulated CUDA (tests), sm_";
#endif

/// The program takes the engine that this test is of: the one on the emulated GPU or, in tests/gpu,
/// the real one.
inline Environment hosted(Variables more = {}) {
  more.emplace("LOMO_CUDA_PLUGIN", LOMO_CUDA_TEST_PLUGIN);
  return Environment(std::move(more));
}

}  // namespace lomo::test
