#include "lomo/plan/clip_plan.h"

#include <algorithm>

namespace lomo {

bool takes_check(TrainConfig const& config) {
  return is_fused(config.optimizer.kind) &&
         (config.clip.norm > 0 || config.gradient_check == GradientCheck::step);
}

void resolve_clip(TrainConfig& config, ModelConfig const& model, PlannedBatches const& batches,
                  MakeEngine const& make_dry) {
  ClipSection& clip = config.clip;
  if (!takes_check(config) || clip.strategy == ClipStrategy::two_pass) {
    clip.kept_blocks = 0;
    return;
  }
  if (clip.strategy == ClipStrategy::one_pass) {
    clip.kept_blocks = model.layers;
    return;
  }
  if (clip.kept_blocks) {
    clip.kept_blocks = std::min(*clip.kept_blocks, model.layers);
    return;
  }
  const auto fits = [&](std::int64_t blocks) {
    TrainConfig with = config;
    with.clip.kept_blocks = blocks;
    return planned_work(with, model, batches, make_dry).slab <= config.memory.budget;
  };
  std::int64_t good = 0, bad = config.memory.budget > 0 ? model.layers + 1 : 1;
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  clip.kept_blocks = good;
}

}  // namespace lomo
