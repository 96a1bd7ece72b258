#include "lomo/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "lomo/core/error.h"

namespace lomo {

namespace {

OptimizerOptions rule_options(TrainConfig const& config) {
  OptimizerSection const& o = config.optimizer;
  OptimizerOptions options;
  options.kind = o.name;
  options.weight_decay = static_cast<float>(o.weight_decay);
  options.rounding = o.rounding.value_or(Rounding::nearest);
  options.seed = config.train.seed;
  options.momentum = static_cast<float>(o.momentum);
  options.beta1 = static_cast<float>(o.beta1);
  options.beta2 = static_cast<float>(o.beta2);
  options.adam_eps = static_cast<float>(o.eps);
  options.decay_rate = static_cast<float>(o.decay_rate);
  options.eps1 = static_cast<float>(o.eps1);
  options.eps2 = static_cast<float>(o.eps2);
  options.clip_threshold = static_cast<float>(o.clip_threshold);
  return options;
}

}  // namespace

std::string_view to_string(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::applied:
      return "applied";
    case StepOutcome::no_targets:
      return "no targets";
    case StepOutcome::nonfinite:
      return "not finite";
  }
  return "?";
}

Trainer::Trainer(Llama& model, TrainConfig const& config, Schedule const& schedule)
    : model_(model),
      kind_(config.optimizer.name),
      clip_(config.clip),
      protect_(config.protect),
      recompute_(config.train.recompute),
      stop_after_skips_(config.train.stop_after_skips),
      tile_{config.memory.tile_bytes},
      schedule_(schedule),
      rule_(make_update_rule(model.backend(), rule_options(config), model.weights().groups())) {}

bool Trainer::fused() const {
  return kind_ == OptimizerKind::lomo || kind_ == OptimizerKind::adalomo;
}

StepReport Trainer::step(Batch const& batch) {
  const auto start = std::chrono::steady_clock::now();
  StepReport report;
  report.tokens = batch.rows();
  report.targets = batch.loss_count();
  report.lr = schedule_.at(state_.applied + 1);
  if (report.targets == 0) {
    skip(report, StepOutcome::no_targets);
    return report;
  }

  Pass pass = model_.forward(batch, recompute_);
  report.loss = mean_loss(pass);
  bool applied = false;
  if (std::isfinite(report.loss)) {
    StepContext context;
    context.step = state_.applied + 1;
    context.lr = static_cast<float>(report.lr);
    context.gradient.clip_value = static_cast<float>(clip_.value);
    const GradientStats stats =
        fused() ? fused_step(pass, report, context) : stored_step(pass, report, context);
    applied = stats.finite();
  } else {
    report.grad_norm = std::nan("");
  }
  model_.backend().synchronize();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (applied) {
    state_.applied += 1;
    state_.skipped_in_a_row = 0;
    report.step = state_.applied;
  } else {
    skip(report, StepOutcome::nonfinite);
  }
  return report;
}

double Trainer::mean_loss(Pass const& pass) const {
  std::vector<float> losses(static_cast<std::size_t>(pass.loss_rows));
  model_.backend().download(std::as_writable_bytes(std::span(losses)), pass.head.loss);
  double sum = 0;
  for (const float loss : losses) sum += loss;
  return sum / static_cast<double>(losses.size());
}

GradientStats Trainer::fused_step(Pass& pass, StepReport& report, StepContext& context) {
  Backend& backend = model_.backend();
  const float scale = 1.0f / static_cast<float>(pass.loss_rows);
  const bool verdict = clip_.norm > 0 || protect_ == Protect::step;
  if (verdict) {
    NormProbe probe(backend, tile_, 1.0f);
    model_.backward(pass, probe, scale, true);
    const GradientStats stats = probe.stats();
    if (!clip(stats, report, context)) return stats;
  }
  FusedUpdate update(backend, tile_, *rule_, context);
  model_.backward(pass, update, scale, false);
  const GradientStats stats = update.stats();
  if (!verdict) report.grad_norm = stats.finite() ? stats.norm() : std::nan("");
  return stats;
}

GradientStats Trainer::stored_step(Pass& pass, StepReport& report, StepContext& context) {
  KeepGradients gradients(model_.backend(), tile_, model_.weights().groups());
  model_.backward(pass, gradients, 1.0f / static_cast<float>(pass.loss_rows), false);
  const GradientStats stats = gradients.stats();
  if (clip(stats, report, context)) gradients.apply(*rule_, context);
  return stats;
}

bool Trainer::clip(GradientStats const& stats, StepReport& report, StepContext& context) const {
  if (!stats.finite()) {
    report.grad_norm = std::nan("");
    return false;
  }
  report.grad_norm = stats.norm();
  if (clip_.norm > 0) {
    // The small constant is the published one: it keeps a zero gradient from dividing by zero.
    report.coefficient = std::min(1.0, clip_.norm / (report.grad_norm + 1e-6));
    context.gradient.coefficient = static_cast<float>(report.coefficient);
  }
  return true;
}

void Trainer::skip(StepReport& report, StepOutcome outcome) {
  report.outcome = outcome;
  report.step = state_.applied;
  state_.skipped += 1;
  // A batch without targets is a fact about the data, no sign of divergence.
  if (outcome == StepOutcome::no_targets) return;
  state_.skipped_in_a_row += 1;
  if (state_.skipped_in_a_row >= stop_after_skips_) {
    throw Error(
        Exit::diverged,
        std::to_string(state_.skipped_in_a_row) + " steps in a row were skipped after step " +
            std::to_string(state_.applied) + " (loss " + std::to_string(report.loss) +
            ", gradient norm " + std::to_string(report.grad_norm) +
            "). Lower optimizer.lr, set clip.norm, or look at the data; the last checkpoint "
            "is not touched.");
  }
}

}  // namespace lomo
