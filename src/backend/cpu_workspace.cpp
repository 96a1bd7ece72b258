#include "lomo/backend/cpu_workspace.h"

#include <algorithm>

namespace lomo {

using namespace workspace;

namespace {

std::size_t up(std::int64_t n, std::int64_t step) {
  return static_cast<std::size_t>((n + step - 1) / step * step);
}

std::int64_t pieces(Tensor g) {
  return g.rows() * ((g.cols() + kSumColumns - 1) / kSumColumns);
}

}  // namespace

std::size_t workspace::library(std::int64_t m, std::int64_t n, std::int64_t k, int threads) {
  const std::size_t rows = up(m, 32), cols = up(n, 64), depth = up(k, 64);
  const std::size_t padded = sizeof(float) * (rows * cols + rows * depth + depth * cols);
  return static_cast<std::size_t>(threads) * std::min(kLibraryBytes, padded);
}

std::size_t CpuWorkspaces::product(std::int64_t m, std::int64_t n, std::int64_t k) const {
  const std::int64_t rows = std::min(m, kTile), cols = std::min(n, kTile);
  const std::int64_t depth = std::min(k, kTileDepth);
  const std::size_t tiles = piece(rows * depth, DType::f32) + piece(depth * cols, DType::f32) +
                            piece(rows * cols, DType::f32);
  return std::max(library(m, n, k, threads_), tiles + library(rows, cols, depth, threads_));
}

std::size_t CpuWorkspaces::linear(Tensor y, Tensor x) const {
  return product(y.rows(), y.cols(), x.cols());
}

std::size_t CpuWorkspaces::linear_backward_input(Tensor dx, Tensor dy) const {
  return product(dx.rows(), dx.cols(), dy.cols());
}

std::size_t CpuWorkspaces::linear_backward_weight(Tensor g, Tensor dy, Tensor x) const {
  const std::int64_t depth = std::min(kDepth, x.rows());
  const std::size_t right = x.dense() ? 0 : piece(depth * x.cols(), x.dtype());
  const std::size_t packed = dy.dense() ? 0 : piece(depth * dy.cols(), dy.dtype());
  const std::size_t panels =
      piece(kPanel * g.cols(), DType::f32) + piece(depth * kPanel, dy.dtype());
  return right + std::max(packed + product(g.rows(), g.cols(), depth),
                          panels + product(kPanel, g.cols(), depth));
}

std::size_t CpuWorkspaces::linear_backward_weights(Tensor g, Tensor dy, Tensor x,
                                                   ColumnBlocks blocks) const {
  const Tensor block = g.row_block(0, g.rows() / blocks.count);
  const std::size_t sum = g.dtype() == DType::f32 ? 0 : piece(block.numel(), DType::f32);
  return sum + linear_backward_weight(block, dy.col_block(0, block.rows()), x);
}

std::size_t CpuWorkspaces::rmsnorm_backward(Tensor x, Tensor dw) const {
  if (!dw) return 0;
  const std::int64_t runs = std::min(kMostRuns, (x.rows() + kLeastRunRows - 1) / kLeastRunRows);
  return piece(runs * x.cols(), DType::f32);
}

std::size_t CpuWorkspaces::rope(Tensor x, Tensor inv_freq) const {
  return piece(std::min(x.rows(), kRopeRows) * 2 * inv_freq.rows(), DType::f32);
}

std::size_t CpuWorkspaces::attention(Heads const& heads) const {
  return piece(threads_ * attention_values(heads.width), DType::f32);
}

std::size_t CpuWorkspaces::attention_backward(Tensor q, Heads const& heads) const {
  return attention(heads) + piece(q.rows() * heads.query, DType::f32);
}

std::size_t CpuWorkspaces::measure(Tensor g) const {
  return piece(2 * pieces(g), DType::f64);
}

std::size_t CpuWorkspaces::inner_product(Tensor a) const {
  return piece(3 * pieces(a), DType::f64);
}

std::size_t CpuWorkspaces::tally(Tensor g, RoundingPlan const& plan) const {
  return plan.tally ? piece(4 * pieces(g), DType::f64) : 0;
}

std::size_t CpuWorkspaces::square_sums(Tensor g) const {
  return piece((g.rows() + kSumRows - 1) / kSumRows * g.cols(), DType::f64);
}

std::size_t CpuWorkspaces::adalomo_measure(Tensor g) const {
  return piece(g.cols(), DType::f32) + piece(2 * pieces(g), DType::f64);
}

std::size_t CpuWorkspaces::adalomo_update(Tensor g, RoundingPlan const& plan) const {
  return piece(g.cols(), DType::f32) + tally(g, plan);
}

}  // namespace lomo
