#include "lomo/plan/kept.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include "lomo/core/activity.h"

namespace lomo {

bool takes_check(TrainConfig const& config) {
  return is_fused(config.optimizer.kind) &&
         (config.clip.norm > 0 || config.gradient_check != GradientCheck::tile);
}

namespace {

/// The largest number up to `maximum` that fits, which is tried first; 0 is taken to fit.
std::int64_t most(std::int64_t maximum, std::function<bool(std::int64_t)> const& fits) {
  if (maximum == 0 || fits(maximum)) return maximum;
  std::int64_t good = 0, bad = maximum;
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

/// What clip.strategy says without planning; nothing where that decides.
std::optional<std::int64_t> kept_factors(TrainConfig const& config, std::int64_t layers) {
  ClipSection const& clip = config.clip;
  if (!takes_check(config) || clip.strategy == ClipStrategy::two_pass) return 0;
  if (clip.strategy == ClipStrategy::one_pass) return layers;
  if (clip.kept_blocks) return std::min(*clip.kept_blocks, layers);
  if (config.memory.budget == 0) return 0;
  return {};
}

/// What depends on the choice, in forwards of a block: those that are run again, and the input
/// gradients of each backward. The same on all ranks.
std::int64_t work_of(std::int64_t factors, std::int64_t upper, std::int64_t layers, bool check) {
  std::int64_t work = 0;
  for (std::int64_t below_head = 0; below_head < layers; ++below_head) {
    const std::int64_t backwards = check && below_head >= factors ? 2 : 1;
    work += backwards * (below_head >= upper ? 2 : 1);
  }
  return work;
}

}  // namespace

void resolve_kept(TrainConfig& config, ModelConfig const& model, PlannedBatches const& batches,
                  MakeEngine const& make_dry) {
  const std::int64_t layers = model.layers;
  if (config.train.recompute) {
    config.train.recompute->upper = std::min(config.train.recompute->upper, layers);
  } else if (config.memory.budget == 0) {
    config.train.recompute = Recompute::block;
  }
  config.clip.kept_blocks = kept_factors(config, layers);
  if (config.train.recompute && config.clip.kept_blocks) return;

  std::optional<Activity> activity;  // of one rank for all, which may be threads of one process
  if (make_dry().ranks().rank() == 0) activity.emplace("choosing what to keep");
  const auto fits = [&](std::int64_t factors, Recompute recompute) {
    if (activity) activity->advance();
    TrainConfig with = config;
    with.clip.kept_blocks = factors;
    with.train.recompute = recompute;
    return planned_work(with, model, batches, make_dry).slab <= config.memory.budget;
  };
  const Recompute least = config.train.recompute.value_or(Recompute::block);
  const std::int64_t most_factors =
      config.clip.kept_blocks
          ? *config.clip.kept_blocks
          : most(layers, [&](std::int64_t factors) { return fits(factors, least); });
  // Factors and activations compete for the budget: a few shares of it are tried.
  constexpr std::int64_t kShares = 4;
  TrainConfig best = config;
  std::int64_t least_work = std::numeric_limits<std::int64_t>::max();
  std::int64_t tried = -1;
  for (std::int64_t share = kShares; share >= 0; --share) {
    const std::int64_t factors =
        config.clip.kept_blocks ? *config.clip.kept_blocks : most_factors * share / kShares;
    if (factors == tried) continue;
    tried = factors;
    Recompute recompute = least;
    if (!config.train.recompute) {
      recompute.upper = most(layers, [&](std::int64_t upper) { return fits(factors, {1, upper}); });
    }
    const std::int64_t work = work_of(factors, recompute.upper, layers, takes_check(config));
    if (work >= least_work) continue;
    least_work = work;
    best.clip.kept_blocks = factors;
    best.train.recompute = recompute;
  }
  config = best;
}

}  // namespace lomo
