#include "lomo/train/loss_scale.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "lomo/core/error.h"

namespace lomo {

namespace {

// Gradients that need more are zero for other reasons; f32 holds its inverse with room to spare.
constexpr double kMaxScale = 0x1p60;

}  // namespace

LossScaler::LossScaler(LossScaleSection const& section, DType dtype)
    : section_(section), on_(dtype == DType::f16) {
  if (on_) state_.scale = section.initial;
}

void LossScaler::succeed() {
  if (!on_) return;
  state_.clean += 1;
  if (section_.window == 0 || state_.clean < section_.window) return;
  state_.scale = std::min(2 * state_.scale, kMaxScale);
  state_.clean = 0;
}

void LossScaler::overflow() {
  state_.overflows += 1;
  state_.clean = 0;
  if (state_.scale > section_.minimum) {
    state_.scale = std::max(state_.scale / 2, section_.minimum);
    return;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%g", state_.scale);
  throw Error(Exit::diverged, "the gradient overflows fp16 at the smallest loss scale, " +
                                  std::string(text) +
                                  " (loss_scale.minimum). Lower optimizer.lr, set clip.norm, or "
                                  "train in bf16: model.dtype \"bf16\".");
}

}  // namespace lomo
