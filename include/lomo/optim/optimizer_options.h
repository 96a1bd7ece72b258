#pragma once
#include <cstdint>
#include <optional>

#include "lomo/backend/ops.h"

namespace lomo {

enum class OptimizerKind : std::uint8_t { lomo, adalomo, sgd, adamw };
/// Applied while backward runs; the others keep whole gradients.
constexpr bool is_fused(OptimizerKind kind) {
  return kind == OptimizerKind::lomo || kind == OptimizerKind::adalomo;
}

/// The optimizer of a run, as a config has it.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::lomo;
  double lr = 0;            // peak
  double weight_decay = 0;  // decoupled, times the learning rate
  /// Of updated weights; none: stochastic for bf16, else nearest.
  std::optional<Rounding> rounding = std::nullopt;
  double momentum = 0;                            // sgd
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // adamw
  double decay_rate = -0.8;                       // adalomo, beta_t = 1 - t^decay_rate
  double eps1 = 1e-30, eps2 = 1e-3;               // adalomo
  double clip_threshold = 1;                      // adalomo
};

}  // namespace lomo
