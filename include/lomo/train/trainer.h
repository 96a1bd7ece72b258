#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "lomo/model/llama.h"
#include "lomo/optim/sinks.h"
#include "lomo/optim/update_rule.h"
#include "lomo/train/config.h"
#include "lomo/train/schedule.h"

namespace lomo {

enum class StepOutcome : std::uint8_t {
  applied,
  no_targets,  // nothing in the batch carries loss
  nonfinite,   // loss or gradient: with a verdict nothing changed
};
std::string_view to_string(StepOutcome outcome);

/// What one step did.
struct StepReport {
  StepOutcome outcome = StepOutcome::applied;
  std::int64_t step = 0;  // updates applied so far, this one included
  double loss = 0;        // mean over the batch's targets, nats
  double grad_norm = 0;   // of the whole gradient before clipping
  double lr = 0;
  double coefficient = 1;  // of the norm clipping
  std::int64_t tokens = 0;
  std::int64_t targets = 0;
  double seconds = 0;
};

/// Counts that a checkpoint stores.
struct TrainerState {
  std::int64_t applied = 0;
  std::int64_t skipped = 0;
  std::int64_t skipped_in_a_row = 0;
  bool operator==(TrainerState const&) const = default;
};

/// The training step: forward, verdict, update.
///
///   fused rules (lomo, adalomo)   forward; [backward into NormProbe]; backward into FusedUpdate
///   stored rules (sgd, adamw)     forward; backward into KeepGradients; apply
///
/// The norm pass runs when clip.norm is set or protect is `step`; its verdict is known before any
/// weight changes. A skipped step changes neither weights nor optimizer and does not move the
/// schedule on. Under protect `tile` without clip.norm a non-finite tile stops the rest of its step
/// only, and the step counts as skipped though earlier tiles were applied.
class Trainer {
 public:
  Trainer(Llama& model, TrainConfig const& config, Schedule const& schedule);

  /// Blocks. Throws Error(Exit::diverged) after train.stop_after_skips skipped steps in a row.
  StepReport step(Batch const& batch);

  TrainerState const& state() const { return state_; }
  void restore(TrainerState const& state) { state_ = state; }
  UpdateRule& rule() { return *rule_; }
  bool fused() const;

 private:
  double mean_loss(Pass const& pass) const;
  GradientStats fused_step(Pass& pass, StepReport& report, StepContext& context);
  GradientStats stored_step(Pass& pass, StepReport& report, StepContext& context);
  bool clip(GradientStats const& stats, StepReport& report, StepContext& context) const;
  void skip(StepReport& report, StepOutcome outcome);

  Llama& model_;
  OptimizerKind kind_;
  ClipSection clip_;
  Protect protect_;
  Recompute recompute_;
  std::int64_t stop_after_skips_;
  TileSize tile_;
  Schedule schedule_;
  std::unique_ptr<UpdateRule> rule_;
  TrainerState state_;
};

}  // namespace lomo
