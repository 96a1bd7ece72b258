#include "engine.h"
#include "gemm.h"

namespace lomo::cuda {

using namespace workspace::cuda;

namespace {

bool rows_are_aligned(Tensor t) {
  return reinterpret_cast<std::uintptr_t>(t.raw()) % 16 == 0 && t.pitch() % kPackedColumns == 0;
}

}  // namespace

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

void CudaBackend::do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  const Buffer work =
      workspace_of("linear_backward_weight", workspaces_.linear_backward_weight(g, dy, x));
  weight(g, dy, x, accumulate, work);
}

void CudaBackend::do_linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks) {
  const Buffer work = workspace_of("linear_backward_weights",
                                   workspaces_.linear_backward_weights(g, dy, x, blocks));
  const std::int64_t t = g.rows() / blocks.count;
  if (rows_are_aligned(dy) && blocks.stride % kPackedColumns == 0) {
    return gemm_->product(g.row_block(0, t), {dy.col_block(0, t), true}, {x}, Tensor(),
                          work.tensor().raw(), queue_, Gemm::Sums::same_for_any_rows,
                          {blocks.count, blocks.stride, 0, t * g.pitch()});
  }
  for (std::int64_t b = 0; b < blocks.count; ++b) {
    weight(g.row_block(b * t, t), dy.col_block(b * blocks.stride, t), x, false, work);
  }
}

// A tile begins at any column of dy. Its rows are packed where they are not 16-byte aligned, so
// that every tile is multiplied by the algorithm for aligned rows.
void CudaBackend::weight(Tensor g, Tensor dy, Tensor x, bool accumulate, Tensor work) {
  auto* const room = static_cast<std::byte*>(work.raw());
  if (!rows_are_aligned(dy)) {
    const Tensor packed(room + kLibraryBytes, dy.shape(), packed_pitch(dy.cols()), dy.dtype(),
                        Device::cuda);
    do_copy(packed, dy);
    dy = packed;
  }
  gemm_->product(g, {dy, true}, {x}, accumulate ? g : Tensor(), room, queue_,
                 Gemm::Sums::same_for_any_rows);
}

}  // namespace lomo::cuda
