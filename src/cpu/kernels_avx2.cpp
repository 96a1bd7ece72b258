// The kernels for avx2; src/CMakeLists.txt gives this file its compiler flags.
#include "kernels.h"
#if defined(__AVX2__)
#include "kernel_table.h"
#endif

namespace lomo::cpu {

Kernels const* avx2_kernels() {
#if defined(__AVX2__)
  static constexpr Kernels table = kernel_table("avx2");
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace lomo::cpu
