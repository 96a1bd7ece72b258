#include "lomo/cuda/workspace.h"

#include "kernels/workspace.h"

// The kernels say what they need themselves.
namespace lomo {

std::size_t CudaWorkspaces::linear(Tensor, Tensor) const {
  return workspace::cuda::kLibraryBytes;
}

std::size_t CudaWorkspaces::linear_backward_input(Tensor, Tensor) const {
  return workspace::cuda::kLibraryBytes;
}

std::size_t CudaWorkspaces::linear_backward_weight(Tensor, Tensor dy, Tensor) const {
  const std::int64_t packed = workspace::cuda::surely_aligned(dy)
                                  ? 0
                                  : dy.rows() * workspace::cuda::packed_pitch(dy.cols());
  return workspace::cuda::kLibraryBytes + static_cast<std::size_t>(packed) * size_of(dy.dtype());
}

std::size_t CudaWorkspaces::linear_backward_weights(Tensor g, Tensor dy, Tensor x,
                                                    ColumnBlocks blocks) const {
  return linear_backward_weight(g, dy.col_block(0, g.rows() / blocks.count), x);
}

std::size_t CudaWorkspaces::sum_columns(Tensor dy) const {
  return kernels::sum_columns_workspace(dy.rows(), dy.cols());
}

std::size_t CudaWorkspaces::rmsnorm_backward(Tensor x, Tensor dw) const {
  return dw ? kernels::rmsnorm_backward_workspace(x.rows(), dw.numel()) : 0;
}

std::size_t CudaWorkspaces::attention_backward(Tensor q, Heads const& heads) const {
  return kernels::attention_backward_workspace(q.rows(), heads.query);
}

std::size_t CudaWorkspaces::accumulate_squared_norm(Tensor g) const {
  return kernels::squared_norm_workspace(g.rows(), g.cols());
}

std::size_t CudaWorkspaces::inner_product(Tensor a) const {
  return kernels::inner_product_workspace(a.rows(), a.cols());
}

std::size_t CudaWorkspaces::rounding_stats(Tensor g, RoundingPlan const& plan) const {
  return plan.rounding_stats ? kernels::rounding_stats_workspace(g.rows(), g.cols()) : 0;
}

std::size_t CudaWorkspaces::square_sums(Tensor g) const {
  return kernels::square_sums_workspace(g.rows(), g.cols());
}

std::size_t CudaWorkspaces::adalomo_statistics(Tensor g) const {
  return kernels::adalomo_statistics_workspace(g.rows(), g.cols());
}

std::size_t CudaWorkspaces::adalomo_update(Tensor g, RoundingPlan const& plan) const {
  return kernels::adalomo_update_workspace(g.rows(), g.cols(),
                                           static_cast<bool>(plan.rounding_stats));
}

}  // namespace lomo
