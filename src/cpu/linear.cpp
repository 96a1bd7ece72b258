#include <algorithm>

#include "engine.h"
#include "gemm.h"

namespace lomo::cpu {
namespace {

// Rows of x summed up in one product: bounds the packed copies of a long batch.
constexpr std::int64_t kDepth = 4096;
// Rows of g of one product in WeightTiles::panels.
constexpr std::int64_t kPanel = 128;

}  // namespace

void CpuBackend::do_linear(Tensor y, Tensor x, Tensor w, Tensor residual) {
  const bool adds = residual.shape().rank() == 2;
  if (adds && residual.raw() != y.raw()) do_copy(y, residual);
  gemm_->product(y, {x}, {w, Gemm::Use::transposed}, adds);
}

void CpuBackend::do_linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) {
  gemm_->product(dx, {dy}, {w}, accumulate);
}

// oneDNN takes another path, with another order of sums, when an operand has a row pitch: column
// blocks are packed first, so that a tile of g is computed like the whole of it.
void CpuBackend::do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  if (tiles_ == WeightTiles::panels || !g.dense()) return weight_by_panels(g, dy, x, accumulate);
  for (std::int64_t first = 0; first < x.rows(); first += kDepth) {
    const std::int64_t depth = std::min(kDepth, x.rows() - first);
    Buffer packed[2];
    Tensor parts[2] = {dy.row_block(first, depth), x.row_block(first, depth)};
    for (int i = 0; i < 2; ++i) {
      if (parts[i].dense()) continue;
      packed[i] = allocate(parts[i].shape(), parts[i].dtype(), Category::workspace,
                           "packed factor of a weight gradient");
      do_copy(packed[i], parts[i]);
      parts[i] = packed[i];
    }
    gemm_->product(g, {parts[0], Gemm::Use::transposed}, {parts[1]}, accumulate || first > 0);
  }
}

void CpuBackend::weight_by_panels(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  const std::int64_t longest = std::min(kDepth, x.rows());
  const Buffer sum =
      allocate(Shape(kPanel, g.cols()), DType::f32, Category::workspace, "weight gradient panel");
  const Buffer left =
      allocate(Shape(longest, kPanel), dy.dtype(), Category::workspace, "weight gradient panel");
  const Buffer right = x.dense() ? Buffer()
                                 : allocate(Shape(longest, x.cols()), x.dtype(),
                                            Category::workspace, "weight gradient panel");
  for (std::int64_t row = 0; row < g.rows(); row += kPanel) {
    const std::int64_t width = std::min(kPanel, g.rows() - row);
    const Tensor out = g.row_block(row, width);
    if (accumulate) do_copy(sum.tensor().row_block(0, width), out);
    for (std::int64_t first = 0; first < x.rows(); first += kDepth) {
      const std::int64_t depth = std::min(kDepth, x.rows() - first);
      const Tensor panel = left.tensor().row_block(0, depth);
      if (width < kPanel) do_zero(panel);
      do_copy(panel.col_block(0, width), dy.row_block(first, depth).col_block(row, width));
      Tensor rows = x.row_block(first, depth);
      if (right) {
        do_copy(right.tensor().row_block(0, depth), rows);
        rows = right.tensor().row_block(0, depth);
      }
      gemm_->product(sum, {panel, Gemm::Use::transposed}, {rows}, accumulate || first > 0);
    }
    do_copy(out, sum.tensor().row_block(0, width));
  }
}

}  // namespace lomo::cpu
