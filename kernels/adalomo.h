#pragma once
#include "launch.h"
#include "update.h"

namespace lomo::kernels {

// `workspace` is of the size that workspace.h gives for the function.

/// row (rows) = sum over columns, col (cols) = sum over rows of g'^2.   All f32.
cudaError_t square_sums(float* row, float* col, In g, GradientRule gradient, void* workspace,
                        std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                        Variant variant = Variant::tuned);

/// state (n) = beta state + (1 - beta) (scale sums + eps), unless guard[1] != 0.
cudaError_t decay_average(float* state, float const* sums, float beta, float scale, float eps,
                          double const* found_inf, std::int64_t n, cudaStream_t stream);

/// Second-moment averages of the rows and columns at hand, and of the whole tensor they belong to.
struct SecondMoment {
  float const* row = nullptr;         // (rows)
  float const* col = nullptr;         // (cols)
  double const* row_total = nullptr;  // (1) sum of `row` over the whole tensor
  std::int64_t whole_rows = 0, whole_numel = 0;
};

/// sums[0] += sum of U^2, sums[1] += sum of w^2, row after row; U = g' r c,
/// r = rsqrt(row / mean(row)), c = rsqrt(col), 0 where nothing was seen.
cudaError_t adalomo_statistics(Storage type, double* sums, In w, In g, SecondMoment moment,
                               GradientRule gradient, void* workspace, std::int64_t rows,
                               std::int64_t cols, cudaStream_t stream,
                               Variant variant = Variant::tuned);

/// eta = lr max(eps2, sqrt(sums[1] / numel)),  rate = eta / max(1, sqrt(sums[0] / numel) / clip),
/// w = round(w (1 - eta decay) - rate U), unless guard[1] != 0.
struct AdaLomoRule {
  float lr = 0, weight_decay = 0, clip_threshold = 1, eps2 = 0;
};
cudaError_t adalomo_update(Storage type, Out w, In g, double const* sums, SecondMoment moment,
                           AdaLomoRule rule, GradientRule gradient, RoundingRule rounding,
                           double const* found_inf, void* workspace, std::int64_t rows,
                           std::int64_t cols, cudaStream_t stream,
                           Variant variant = Variant::tuned);

}  // namespace lomo::kernels
