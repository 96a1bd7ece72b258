#pragma once
#include "launch.h"
#include "workspace.h"

namespace lomo::kernels {

/// g' = coefficient * clamp(scale * g, -clip_value, +clip_value); clip_value 0: no clamp.
struct GradientRule {
  float scale = 1, clip_value = 0, coefficient = 1;
};

/// How weights are stored. Element (i, j) has index first + row * cols + j in its tensor, where row
/// is i or rows[i]; with (stream, step) that names its random number.
/// rounding statistics (4) f64 or null: with old and now the stored weight before and after, and x
/// what it should become, adds the number of x != old, of now != old, and the sums of (now - old)
/// (x - old) and of (x - old)^2. It changes no bit of the weights.
struct RoundingRule {
  bool stochastic = false;
  std::uint64_t stream = 0, step = 0;
  std::int64_t first = 0;
  double* rounding_stats = nullptr;
};

// All of these do nothing when `found_inf` is given and guard[1] != 0. g, m, v are f32 but for
// parts of ranks; w is `type`. The arithmetic is that of the CPU engine, operation by operation:
// the same bits. `workspace` may be null where no rounding statistics are wanted, else it has
// rounding_stats_workspace bytes.

/// The gradient of SGD: (count,cols) f32, or what `ranks` gave of it, (ranks count,cols) of f32 or
/// bf16, which are added from 0 on in rank order, as sum_partials does.
struct SgdGradient {
  In data;
  std::int64_t ranks = 0;  // 0: whole
  Storage type = Storage::f32;
};
/// w row = round(w keep - lr g');  row is rows[i], or i when rows is null.
cudaError_t sgd_update(Storage type, Out w, SgdGradient g, float lr, float keep,
                       GradientRule gradient, RoundingRule rounding, double const* found_inf,
                       std::int32_t const* rows, void* workspace, std::int64_t count,
                       std::int64_t cols, cudaStream_t stream, Variant variant = Variant::tuned);

/// m = momentum m + g';  g = m.
cudaError_t momentum_update(Out m, Out g, float momentum, GradientRule gradient,
                            double const* found_inf, std::int64_t rows, std::int64_t cols,
                            cudaStream_t stream, Variant variant = Variant::tuned);

/// m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g'^2,
/// w = round(w keep - lr m / (sqrt(v correct) + eps)): lr holds 1 / (1 - beta1^t), correct is
/// 1 / (1 - beta2^t).
struct AdamRule {
  float lr = 0, keep = 1, beta1 = 0, beta2 = 0, eps = 0, correct = 1;
};
cudaError_t adamw_update(Storage type, Out w, Out m, Out v, In g, AdamRule adam,
                         GradientRule gradient, RoundingRule rounding, double const* found_inf,
                         void* workspace, std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                         Variant variant = Variant::tuned);

}  // namespace lomo::kernels
