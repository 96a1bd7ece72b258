#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lomo/config/config.h"
#include "lomo/model/decoder.h"
#include "lomo/optim/sinks/fused_update.h"
#include "lomo/optim/sinks/keep_factors.h"
#include "lomo/optim/sinks/keep_gradients.h"
#include "lomo/optim/sinks/norm_probe.h"
#include "lomo/optim/update_rule.h"
#include "lomo/train/loss_scale.h"
#include "lomo/train/schedule.h"
#include "lomo/train/spike_guard.h"

namespace lomo {

enum class StepOutcome : std::uint8_t {
  applied,
  no_targets,  // nothing in the batch carries loss
  nonfinite,   // loss or gradient: with a gradient check nothing changed
  overflow,    // of an fp16 gradient: nothing changed, the loss scale falls
  spike,       // or a rise, under spike_guard.action skip: nothing changed
};
std::string_view to_string(StepOutcome outcome);

/// What rounding made of the updates of a step; see RoundingPlan::rounding_stats.
struct RoundingReport {
  double changed = 0;   // elements that changed, of those that would have in f32
  double realised = 0;  // share of the intended step
};

/// What one step did.
struct StepReport {
  StepOutcome outcome = StepOutcome::applied;
  std::int64_t step = 0;  // updates applied so far, this one included
  double loss = 0;        // mean over the batch's targets, nats
  double loss_error = 0;  // its standard error
  double grad_norm = 0;   // of the whole gradient before clipping
  double lr = 0;
  double lr_factor = 1;    // what the spike guard's cuts left of the schedule's rate
  double coefficient = 1;  // of the norm clipping
  double loss_scale = 1;   // fp16: the one the step was made with
  SpikeScores spike;
  bool is_spike = false;
  Rise rise;
  std::optional<RoundingReport> rounding;  // of 16-bit runs, every metrics.rounding_every steps
  /// Set when a step without a gradient check met a non-finite tile: what had changed by then. The
  /// weights are those of no step, and the caller ends the run.
  std::optional<FusedUpdate::UpdatedTensors> partial;
  std::int64_t tokens = 0;
  std::int64_t targets = 0;
  double model_flops = 0;  // of this rank's shard; see model_flops.h
  double seconds = 0;
};

/// "... 12 tensors were already updated (lm_head.weight, ...) and ... up to its first bad tile".
std::string describe(FusedUpdate::UpdatedTensors const& partial);

/// "a step is a spike: loss 9.1 (z 8.2), ..." and "the loss of the last four steps, 6.1, is above
/// that at the start, 1.9": what the guard found, one or both.
std::string describe_alarm(StepReport const& report);

/// What a checkpoint stores.
struct TrainerState {
  std::int64_t applied = 0;
  std::int64_t skipped = 0;
  std::int64_t skipped_in_a_row = 0;
  std::int64_t consumed = 0;  // places of the schedule that skipped steps took
  LossScaleState loss_scale;
  SpikeGuardState spike_guard;
  bool operator==(TrainerState const&) const = default;
};

/// What a config says of the head.
HeadOptions head_options(TrainConfig const& config);
/// The learning rates of a run of `total` steps.
Schedule schedule_of(TrainConfig const& config, std::int64_t total);

/// The training step: forward, gradient check, update.
///
///   fused rules (lomo, adalomo)   forward; [backward into NormProbe]; backward into FusedUpdate
///     with clip.kept_blocks       forward; backward, its upper part into KeepFactors; gradient
///     check;
///                                 kept factors and the rest of backward into FusedUpdate
///   stored rules (sgd, adamw)     forward; backward into KeepGradients; apply
///
/// The norm pass runs when clip.norm is set or gradient_check is `step`; its gradient check is
/// known before any weight changes. A skipped step changes neither weights nor optimizer and does
/// not move the schedule on (loss_scale.skip_consumes_schedule: an overflow does). Under
/// gradient_check `tile` without clip.norm a non-finite tile stops the rest of its step, of which
/// earlier tiles were applied; StepReport::partial names them.
///
/// The order of checks: a loss that is not finite; a gradient that is not (fp16: an overflow, see
/// LossScaler); a spike or a rise (SpikeGuard); then the norm clipping.
class Trainer {
 public:
  Trainer(Decoder& model, TrainConfig const& config, Schedule const& schedule);

  /// Of the report all but `seconds` is of the whole batch and the same on every rank.
  /// Blocks. Throws Error(Exit::diverged) after train.stop_after_skips skipped steps in a row, at
  /// an overflow with the smallest loss scale, and at a spike or a rise when spike_guard.action is
  /// stop.
  StepReport step(ShardedBatch const& batch);

  /// The loss of an evaluation before the first step, for the guard.
  void evaluated_before(double loss) { spike_guard_.evaluated(loss); }

  TrainerState state() const;
  void restore(TrainerState const& state);
  UpdateRule& rule() { return *rule_; }
  /// How the norm behind a gradient check is found. Only a dry run asks for tiles: they are the way
  /// that every tensor takes whose cheaper norm is not to be trusted.
  void find_norms_by(NormMethod method) { norm_method_ = method; }

 private:
  void measure_loss(Pass const& pass, StepReport& report) const;
  SinkContext sink_context() const {
    return {model_.backend(), tile_, policies_, {model_.ranks(), comm_dtype_}};
  }
  void tell(StepReport& report, StepContext const& context) const;
  void fused_step(Pass& pass, StepReport& report, StepContext& context);
  void kept_step(Pass& pass, StepReport& report, StepContext& context);
  void stored_step(Pass& pass, StepReport& report, StepContext& context);
  bool decide(GradientStats const& stats, StepReport& report, StepContext& context);
  bool check_spike(StepReport& report, StepContext& context);
  void begin_rounding_stats(StepContext& context);
  void end_rounding_stats(StepReport& report, StepContext const& context) const;
  void skip(StepReport& report);

  Decoder& model_;
  OptimizerKind kind_;
  ClipSection clip_;
  GradientCheck gradient_check_;
  NormMethod norm_method_ = NormMethod::cheapest;
  Recompute recompute_;
  std::int64_t stop_after_skips_;
  TileSize tile_;
  DType comm_dtype_;
  std::int64_t rounding_every_;
  bool skip_consumes_schedule_;
  Schedule schedule_;
  LossScaler scaler_;
  SpikeGuard spike_guard_;
  std::unique_ptr<UpdateRule> rule_;
  Policies policies_;      // of all parameters
  Buffer rounding_stats_;  // (4) f64; none where rounding is not in play
  TrainerState state_;
};

}  // namespace lomo
