#include <algorithm>

#include "engine.h"
#include "gemm.h"
#include "scratch.h"

namespace lomo::cpu {

using workspace::kDepth;
using workspace::kPanel;
using workspace::kTile;

void CpuBackend::do_linear(Tensor y, Tensor x, Tensor w, Tensor residual) {
  const Buffer work = workspace_of("linear", workspaces_.linear(y, x));
  const bool adds = residual.shape().rank() == 2;
  if (adds && residual.raw() != y.raw()) do_copy(y, residual);
  if (tiles_ == WeightTiles::panels && y.dtype() == DType::f32) {
    return linear_by_panels(y, x, w, adds, Scratch(work));
  }
  gemm_->product(y, {x}, {w, Gemm::Use::transposed}, adds, Scratch(work));
}

// Logits are recomputed for other rows of w than forward had: where extents change an element's
// bits, all products have the extent of a panel.
void CpuBackend::linear_by_panels(Tensor y, Tensor x, Tensor w, bool adds, Scratch scratch) {
  const Tensor packed = scratch.take(Shape(kPanel, w.cols()), w.dtype());
  const Tensor sums = scratch.take(Shape(std::min(kTile, x.rows()), kPanel), DType::f32);
  for (std::int64_t col = 0; col < y.cols(); col += kPanel) {
    const std::int64_t width = std::min(kPanel, y.cols() - col);
    Tensor panel = w.row_block(col, width);
    if (width < kPanel || !w.dense()) {
      if (width < kPanel) do_zero(packed);
      do_copy(packed.row_block(0, width), panel);
      panel = packed;
    }
    for (std::int64_t row = 0; row < x.rows(); row += kTile) {
      const std::int64_t count = std::min(kTile, x.rows() - row);
      const Tensor sum = sums.row_block(0, count);
      const Tensor out = y.row_block(row, count).col_block(col, width);
      if (adds) {
        if (width < kPanel) do_zero(sum);
        do_copy(sum.col_block(0, width), out);
      }
      gemm_->product(sum, {x.row_block(row, count)}, {panel, Gemm::Use::transposed}, adds, scratch);
      do_copy(out, sum.col_block(0, width));
    }
  }
}

void CpuBackend::do_linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) {
  const Buffer work =
      workspace_of("linear_backward_input", workspaces_.linear_backward_input(dx, dy));
  gemm_->product(dx, {dy}, {w}, accumulate, Scratch(work));
}

void CpuBackend::do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  const Buffer work =
      workspace_of("linear_backward_weight", workspaces_.linear_backward_weight(g, dy, x));
  weight(g, dy, x, accumulate, Scratch(work));
}

// A 16-bit product sums like an f32 one: the library would sum it in an order of its own.
void CpuBackend::do_linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks) {
  const Buffer work = workspace_of("linear_backward_weights",
                                   workspaces_.linear_backward_weights(g, dy, x, blocks));
  const std::int64_t t = g.rows() / blocks.count;
  Scratch scratch(work);
  Tensor sum;
  if (g.dtype() != DType::f32) sum = scratch.take(Shape(t, g.cols()), DType::f32);
  for (std::int64_t b = 0; b < blocks.count; ++b) {
    const Tensor out = g.row_block(b * t, t);
    weight(sum ? sum : out, dy.col_block(b * blocks.stride, t), x, false, scratch);
    if (sum) do_copy(out, sum);
  }
}

// oneDNN takes another path, with another order of sums, when an operand has a row pitch: column
// blocks are packed first, so that a tile of g is computed like the whole of it.
void CpuBackend::weight(Tensor g, Tensor dy, Tensor x, bool accumulate, Scratch work) {
  if (tiles_ == WeightTiles::panels || !g.dense()) {
    return weight_by_panels(g, dy, x, accumulate, work);
  }
  for (std::int64_t first = 0; first < x.rows(); first += kDepth) {
    const std::int64_t depth = std::min(kDepth, x.rows() - first);
    Scratch scratch = work;
    Tensor parts[2] = {dy.row_block(first, depth), x.row_block(first, depth)};
    for (Tensor& part : parts) {
      if (part.dense()) continue;
      const Tensor packed = scratch.take(part.shape(), part.dtype());
      do_copy(packed, part);
      part = packed;
    }
    gemm_->product(g, {parts[0], Gemm::Use::transposed}, {parts[1]}, accumulate || first > 0,
                   scratch);
  }
}

void CpuBackend::weight_by_panels(Tensor g, Tensor dy, Tensor x, bool accumulate, Scratch scratch) {
  const std::int64_t longest = std::min(kDepth, x.rows());
  const Tensor sum = scratch.take(Shape(kPanel, g.cols()), DType::f32);
  const Tensor left = scratch.take(Shape(longest, kPanel), dy.dtype());
  const Tensor right = x.dense() ? Tensor() : scratch.take(Shape(longest, x.cols()), x.dtype());
  for (std::int64_t row = 0; row < g.rows(); row += kPanel) {
    const std::int64_t width = std::min(kPanel, g.rows() - row);
    const Tensor out = g.row_block(row, width);
    if (accumulate) do_copy(sum.row_block(0, width), out);
    for (std::int64_t first = 0; first < x.rows(); first += kDepth) {
      const std::int64_t depth = std::min(kDepth, x.rows() - first);
      const Tensor panel = left.row_block(0, depth);
      if (width < kPanel) do_zero(panel);
      do_copy(panel.col_block(0, width), dy.row_block(first, depth).col_block(row, width));
      Tensor rows = x.row_block(first, depth);
      if (right) {
        do_copy(right.row_block(0, depth), rows);
        rows = right.row_block(0, depth);
      }
      gemm_->product(sum, {panel, Gemm::Use::transposed}, {rows}, accumulate || first > 0, scratch);
    }
    do_copy(out, sum.row_block(0, width));
  }
}

}  // namespace lomo::cpu
