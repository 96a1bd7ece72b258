#include "engine.h"
#include "gemm.h"

namespace lomo::cpu {

void CpuBackend::do_linear(Tensor y, Tensor x, Tensor w, Tensor residual) {
  const bool adds = residual.shape().rank() == 2;
  if (adds && residual.raw() != y.raw()) do_copy(y, residual);
  gemm_->product(y, {x}, {w, Gemm::Use::transposed}, adds);
}

void CpuBackend::do_linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) {
  gemm_->product(dx, {dy}, {w}, accumulate);
}

void CpuBackend::do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  gemm_->product(g, {dy, Gemm::Use::transposed}, {x}, accumulate);
}

}  // namespace lomo::cpu
