#include "engine.h"
#include "gemm.h"

namespace lomo::cuda {

void CudaBackend::do_linear(Tensor y, Tensor x, Tensor w, Tensor residual) {
  const Buffer work = workspace_of("linear", workspaces_.linear(y, x));
  const bool adds = residual.shape().rank() == 2;
  if (adds && residual.dtype() != y.dtype()) {
    do_copy(y, residual);
    residual = y;
  }
  gemm_->product(y, {x}, {w, true}, residual, work.tensor().raw(), queue_);
}

void CudaBackend::do_linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) {
  const Buffer work =
      workspace_of("linear_backward_input", workspaces_.linear_backward_input(dx, dy));
  gemm_->product(dx, {dy}, {w}, accumulate ? dx : Tensor(), work.tensor().raw(), queue_);
}

// A tile begins at any column of dy. Its rows are packed where they are not 16-byte aligned, so
// that every tile is multiplied by the algorithm for aligned rows.
void CudaBackend::do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  using namespace workspace::cuda;
  const Buffer work =
      workspace_of("linear_backward_weight", workspaces_.linear_backward_weight(g, dy, x));
  auto* const room = static_cast<std::byte*>(work.tensor().raw());
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(dy.raw()) % 16 == 0 && dy.pitch() % kPackedColumns == 0;
  if (!aligned) {
    const Tensor packed(room + kLibraryBytes, dy.shape(), packed_pitch(dy.cols()), dy.dtype(),
                        Device::cuda);
    do_copy(packed, dy);
    dy = packed;
  }
  gemm_->product(g, {dy, true}, {x}, accumulate ? g : Tensor(), room, queue_,
                 Gemm::Sums::same_for_any_rows);
}

}  // namespace lomo::cuda
