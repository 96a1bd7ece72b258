// The kernels in plain C++, for any machine.
#include "kernel_table.h"

namespace lomo::cpu {

Kernels const* baseline_kernels() {
  static constexpr Kernels table = kernel_table("baseline");
  return &table;
}

}  // namespace lomo::cpu
