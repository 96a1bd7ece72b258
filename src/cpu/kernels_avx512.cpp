// The kernels for avx512; src/CMakeLists.txt gives this file its compiler flags.
#include "kernels.h"
#if defined(__AVX512F__)
#include "kernel_table.h"
#endif

namespace lomo::cpu {

Kernels const* avx512_kernels() {
#if defined(__AVX512F__)
  static constexpr Kernels table = kernel_table("avx512");
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace lomo::cpu
