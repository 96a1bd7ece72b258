#pragma once
#include <cstdint>

#include "lomo/config/config.h"

namespace lomo {

/// What a checkpoint stores of a LossScaler.
struct LossScaleState {
  double scale = 1;
  std::int64_t clean = 0;      // applied steps since the scale last changed
  std::int64_t overflows = 0;  // of the whole run
  bool operator==(LossScaleState const&) const = default;
};

/// Dynamic loss scaling (LOMO, arXiv 2306.09782, section 3.3.2; Micikevicius et al. 2018, arXiv
/// 1710.03740). An fp16 run multiplies the loss by `scale` before backward, so that small gradients
/// do not vanish in fp16, and divides the gradients by it in fp32. Scales are powers of two, so
/// both are exact. After `window` clean steps the scale doubles (0: never, as in the published
/// code); an overflow halves it.
///
/// The published code never doubles its scale; the paper does, and so does this.
class LossScaler {
 public:
  /// Other precisions do not scale: theirs stays 1.
  LossScaler(LossScaleSection const& section, DType dtype);

  bool on() const { return on_; }
  /// What the loss is multiplied by.
  float scale() const { return static_cast<float>(state_.scale); }
  /// What gradients are multiplied by.
  float unscale() const { return static_cast<float>(1 / state_.scale); }

  /// A step was applied.
  void succeed();
  /// A gradient overflowed. Throws Error(Exit::diverged) when the scale is at its minimum already.
  void overflow();

  LossScaleState const& state() const { return state_; }
  void restore(LossScaleState const& state) { state_ = state; }

 private:
  LossScaleSection section_;
  bool on_;
  LossScaleState state_;
};

}  // namespace lomo
