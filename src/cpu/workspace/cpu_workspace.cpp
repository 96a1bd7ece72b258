#include "lomo/cpu/workspace.h"

#include <algorithm>

namespace lomo {

using namespace workspace;

namespace {

std::size_t up(std::int64_t n, std::int64_t step) {
  return static_cast<std::size_t>((n + step - 1) / step * step);
}

std::int64_t chunks(Tensor g) {
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
  const std::size_t tiles = chunk(rows * depth, DType::f32) + chunk(depth * cols, DType::f32) +
                            chunk(rows * cols, DType::f32);
  return std::max(library(m, n, k, threads_), tiles + library(rows, cols, depth, threads_));
}

std::size_t CpuWorkspaces::linear(Tensor y, Tensor x) const {
  const std::size_t whole = product(y.rows(), y.cols(), x.cols());
  if (y.dtype() != DType::f32) return whole;
  const std::int64_t rows = std::min(kTile, y.rows());
  return std::max(whole, chunk(kPanel * x.cols(), x.dtype()) + chunk(rows * kPanel, DType::f32) +
                             product(rows, kPanel, x.cols()));
}

std::size_t CpuWorkspaces::linear_backward_input(Tensor dx, Tensor dy) const {
  return product(dx.rows(), dx.cols(), dy.cols());
}

std::size_t CpuWorkspaces::linear_backward_weight(Tensor g, Tensor dy, Tensor x) const {
  const std::int64_t depth = std::min(kDepth, x.rows());
  const std::size_t right = x.dense() ? 0 : chunk(depth * x.cols(), x.dtype());
  const std::size_t packed = dy.dense() ? 0 : chunk(depth * dy.cols(), dy.dtype());
  const std::size_t panels =
      chunk(kPanel * g.cols(), DType::f32) + chunk(depth * kPanel, dy.dtype());
  return right + std::max(packed + product(g.rows(), g.cols(), depth),
                          panels + product(kPanel, g.cols(), depth));
}

std::size_t CpuWorkspaces::linear_backward_weights(Tensor g, Tensor dy, Tensor x,
                                                   ColumnBlocks blocks) const {
  const Tensor block = g.row_block(0, g.rows() / blocks.count);
  const std::size_t sum = g.dtype() == DType::f32 ? 0 : chunk(block.numel(), DType::f32);
  return sum + linear_backward_weight(block, dy.col_block(0, block.rows()), x);
}

std::size_t CpuWorkspaces::sum_columns(Tensor dy) const {
  return chunk(row_runs(dy.rows()).count * dy.cols(), DType::f32);
}

std::size_t CpuWorkspaces::rmsnorm_backward(Tensor x, Tensor dw) const {
  if (!dw) return 0;
  return chunk(row_runs(x.rows()).count * dw.numel(), DType::f32);
}

std::size_t CpuWorkspaces::rope(Tensor x, Tensor inv_freq) const {
  return chunk(std::min(x.rows(), kRopeRows) * 2 * inv_freq.rows(), DType::f32);
}

std::size_t CpuWorkspaces::attention(Heads const& heads) const {
  return chunk(threads_ * attention_values(heads.width), DType::f32);
}

std::size_t CpuWorkspaces::attention_backward(Tensor q, Heads const& heads) const {
  return attention(heads) + chunk(q.rows() * heads.query, DType::f32);
}

std::size_t CpuWorkspaces::accumulate_squared_norm(Tensor g) const {
  return chunk(2 * chunks(g), DType::f64);
}

std::size_t CpuWorkspaces::inner_product(Tensor a) const {
  return chunk(3 * chunks(a), DType::f64);
}

std::size_t CpuWorkspaces::rounding_stats(Tensor g, RoundingPlan const& plan) const {
  return plan.rounding_stats ? chunk(4 * chunks(g), DType::f64) : 0;
}

std::size_t CpuWorkspaces::square_sums(Tensor g) const {
  return chunk((g.rows() + kSumRows - 1) / kSumRows * g.cols(), DType::f64);
}

std::size_t CpuWorkspaces::adalomo_statistics(Tensor g) const {
  return chunk(g.cols(), DType::f32) + chunk(2 * chunks(g), DType::f64);
}

std::size_t CpuWorkspaces::adalomo_update(Tensor g, RoundingPlan const& plan) const {
  return chunk(g.cols(), DType::f32) + rounding_stats(g, plan);
}

}  // namespace lomo
