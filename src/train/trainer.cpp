#include "lomo/train/trainer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/model/model_flops.h"

namespace lomo {

namespace {

std::size_t count_tensors(std::vector<ParameterGroup*> const& groups) {
  std::size_t count = 0;
  for (auto const* group : groups) count += group->members().size();
  return count;
}

}  // namespace

HeadOptions head_options(TrainConfig const& config) {
  HeadOptions head;
  head.block_rows = config.memory.head_block_rows;
  head.chunk_rows = config.memory.head_chunk_rows;
  head.keep_logits_bytes = config.memory.keep_logits_bytes;
  head.comm_dtype = config.ranks.comm_dtype;
  return head;
}

Schedule schedule_of(TrainConfig const& config, std::int64_t total) {
  ScheduleSection const& s = config.schedule;
  return {s.kind, config.optimizer.lr, s.warmup, total, s.final, s.published};
}

Trainer::Trainer(Decoder& model, TrainConfig const& config, Schedule const& schedule)
    : model_(model),
      kind_(config.optimizer.kind),
      clip_(config.clip),
      gradient_check_(config.gradient_check),
      recompute_(config.train.recompute.value_or(Recompute::block)),
      stop_after_skips_(config.train.stop_after_skips),
      tile_{config.memory.tile_bytes},
      comm_dtype_(config.ranks.comm_dtype),
      rounding_every_(config.metrics.rounding_every),
      skip_consumes_schedule_(config.loss_scale.skip_consumes_schedule),
      schedule_(schedule),
      scaler_(config.loss_scale, model.dtype()),
      spike_guard_(config.spike_guard),
      rule_(make_update_rule(model.backend(), config.optimizer, config.train.seed,
                             model.weights().groups(), model.ranks())),
      policies_(*rule_, config.optimizer.weight_decay) {
  if (scaler_.on() && gradient_check_ == GradientCheck::tile) {
    throw Error(Exit::usage,
                "fp16 needs a check of the whole gradient: set gradient_check to \"step\"");
  }
  if (model.dtype() != DType::f32 && rounding_every_ > 0) {
    rounding_stats_ =
        model.backend().allocate(Shape(4), DType::f64, Category::workspace, "rounding statistics");
  }
}

TrainerState Trainer::state() const {
  TrainerState state = state_;
  state.loss_scale = scaler_.state();
  state.spike_guard = spike_guard_.state();
  return state;
}

void Trainer::restore(TrainerState const& state) {
  state_ = state;
  if (scaler_.on()) scaler_.restore(state.loss_scale);
  spike_guard_.restore(state.spike_guard);
}

StepReport Trainer::step(ShardedBatch const& batch) {
  const auto start = std::chrono::steady_clock::now();
  StepReport report;
  report.tokens = batch.tokens();
  report.targets = batch.targets();
  report.model_flops = model_flops(model_.config(), batch.mine);
  report.loss_scale = scaler_.scale();
  StepContext context;
  context.step = state_.applied + 1;
  context.lr = schedule_.at(state_.applied + state_.consumed + 1) * spike_guard_.lr_factor();
  context.gradient.scale = scaler_.unscale();
  context.gradient.clip_value = static_cast<float>(clip_.value);
  report.step = state_.applied;
  if (report.targets == 0) {
    report.outcome = StepOutcome::no_targets;
    tell(report, context);
    skip(report);
    return report;
  }

  Pass pass = model_.forward(batch, recompute_);
  measure_loss(pass, report);
  if (std::isfinite(report.loss)) {
    begin_rounding_stats(context);
    is_fused(kind_) ? fused_step(pass, report, context) : stored_step(pass, report, context);
    if (report.outcome == StepOutcome::applied) end_rounding_stats(report, context);
  } else {
    report.outcome = StepOutcome::nonfinite;
    report.grad_norm = std::nan("");
  }
  model_.backend().synchronize();
  tell(report, context);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (report.outcome == StepOutcome::applied) {
    state_.applied += 1;
    state_.skipped_in_a_row = 0;
    report.step = state_.applied;
    scaler_.succeed();
    spike_guard_.applied({report.loss, report.loss_error}, report.grad_norm);
  } else {
    skip(report);
  }
  return report;
}

/// What the step went by.
void Trainer::tell(StepReport& report, StepContext const& context) const {
  report.lr = context.lr;
  report.lr_factor = spike_guard_.lr_factor();
}

/// The mean over the targets of all ranks, and its standard error.
void Trainer::measure_loss(Pass const& pass, StepReport& report) const {
  if (!model_.backend().computes()) return;
  double sum = 0, squares = 0;
  for (std::vector<float> const& losses : model_.losses_by_rank(pass)) {
    for (const float loss : losses) {
      sum += loss;
      squares += static_cast<double>(loss) * static_cast<double>(loss);
    }
  }
  const BatchLoss loss = batch_loss(sum, squares, pass.all_loss_rows());
  // Of no sign: it is shown to people.
  report.loss = std::isnan(loss.mean) ? std::nan("") : loss.mean;
  report.loss_error = loss.error;
}

void Trainer::fused_step(Pass& pass, StepReport& report, StepContext& context) {
  const float scale = scaler_.scale() / static_cast<float>(pass.all_loss_rows());
  const bool verdict = clip_.norm > 0 || gradient_check_ != GradientCheck::tile;
  if (verdict && clip_.kept_blocks.value_or(0) > 0) return kept_step(pass, report, context);
  if (verdict) {
    NormProbe probe(sink_context(), context.gradient.scale, norm_method_);
    model_.backward(pass, probe, scale, true);
    if (!decide(probe.stats(), report, context)) return;
  }
  const std::size_t tensors = verdict ? 0 : count_tensors(model_.weights().groups());
  FusedUpdate update(sink_context(), context, tensors);
  model_.backward(pass, update, scale, false);
  if (verdict) return;
  const GradientStats stats = update.stats();
  if (decide(stats, report, context)) return;
  if (!stats.finite()) report.partial = update.outcome();
}

void Trainer::kept_step(Pass& pass, StepReport& report, StepContext& context) {
  const float scale = scaler_.scale() / static_cast<float>(pass.all_loss_rows());
  const std::int64_t lowest =
      std::max<std::int64_t>(0, model_.config().layers - clip_.kept_blocks.value_or(0));
  KeepFactors factors(sink_context(), context.gradient.scale, norm_method_);
  BackwardPoint point = model_.backward_upper(pass, factors, scale, lowest, false);
  std::optional<BackwardPoint> again;  // where the update goes on
  if (lowest > 0) {
    factors.stop_keeping();
    again = model_.duplicate(point);
  }
  model_.backward_rest(pass, std::move(point), factors, again.has_value());
  if (!decide(factors.stats(), report, context)) return;
  FusedUpdate update(sink_context(), context);
  factors.release(update);
  if (again) model_.backward_rest(pass, *std::move(again), update, false);
}

void Trainer::stored_step(Pass& pass, StepReport& report, StepContext& context) {
  KeepGradients gradients(sink_context(), model_.weights().groups(), context.gradient.scale);
  const float scale = scaler_.scale() / static_cast<float>(pass.all_loss_rows());
  model_.backward(pass, gradients, scale, false);
  if (decide(gradients.stats(), report, context)) gradients.apply(context);
}

/// Whether the step is to be applied; sets what the report says of the gradient and how it is
/// clipped.
bool Trainer::decide(GradientStats const& stats, StepReport& report, StepContext& context) {
  if (!stats.finite()) {
    report.grad_norm = std::nan("");
    report.outcome = scaler_.on() ? StepOutcome::overflow : StepOutcome::nonfinite;
    return false;
  }
  report.grad_norm = stats.norm();
  if (!check_spike(report, context)) return false;
  if (clip_.norm > 0) {
    // The small constant is the published one: it keeps a zero gradient from dividing by zero.
    report.coefficient = std::min(1.0, *clip_.norm / (report.grad_norm + 1e-6));
    context.gradient.coefficient = static_cast<float>(report.coefficient);
  }
  return true;
}

/// Looks for a spike or a rise and answers it.
bool Trainer::check_spike(StepReport& report, StepContext& context) {
  report.spike = spike_guard_.scores(report.loss, report.grad_norm);
  report.is_spike = spike_guard_.is_spike(report.spike);
  report.rise = spike_guard_.rise({report.loss, report.loss_error});
  if (!report.is_spike && report.rise.steps == 0) return true;
  switch (spike_guard_.action()) {
    case SpikeAction::off:
    case SpikeAction::warn:
      break;
    case SpikeAction::skip:
      report.outcome = StepOutcome::spike;
      return false;
    case SpikeAction::cut_lr: {
      if (!report.is_spike && !is_news(report.rise)) break;
      const double before = spike_guard_.lr_factor();
      spike_guard_.cut();
      context.lr *= spike_guard_.lr_factor() / before;
      break;
    }
    case SpikeAction::stop:
      throw Error(
          Exit::diverged,
          "after step " + std::to_string(state_.applied) + " " + describe_alarm(report) +
              ", and spike_guard.action is \"stop\". Nothing of this step was applied. Lower "
              "optimizer.lr, or choose another spike_guard.action.");
  }
  return true;
}

void Trainer::begin_rounding_stats(StepContext& context) {
  if (!rounding_stats_ || state_.applied % rounding_every_ != 0) return;
  model_.backend().zero(rounding_stats_);
  context.rounding_stats = rounding_stats_;
}

void Trainer::end_rounding_stats(StepReport& report, StepContext const& context) const {
  if (!context.rounding_stats || !model_.backend().computes()) return;
  std::array<double, 4> mine{};
  model_.backend().download(std::as_writable_bytes(std::span(mine)), rounding_stats_);
  std::array<double, 4> sums{};
  for (auto const& part : model_.ranks().all_gather_host(mine)) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += part[i];
  }
  const auto share = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
  report.rounding = RoundingReport{share(sums[1], sums[0]), share(sums[2], sums[3])};
}

void Trainer::skip(StepReport& report) {
  state_.skipped += 1;
  // A batch without targets is a fact about the data, no sign of divergence.
  if (report.outcome == StepOutcome::no_targets) return;
  if (report.outcome == StepOutcome::overflow) {  // expected now and then; the scale has a floor
    if (skip_consumes_schedule_) state_.consumed += 1;
    scaler_.overflow();
    return;
  }
  state_.skipped_in_a_row += 1;
  if (state_.skipped_in_a_row >= stop_after_skips_) {
    throw Error(Exit::diverged,
                std::to_string(state_.skipped_in_a_row) +
                    " steps in a row were skipped after step " + std::to_string(state_.applied) +
                    " (loss " + human_number(report.loss) + ", gradient norm " +
                    human_number(report.grad_norm) +
                    "). Lower optimizer.lr, set clip.norm to 1, or look at the data." +
                    (report.partial ? " " + describe(*report.partial) : std::string()));
  }
}

}  // namespace lomo
