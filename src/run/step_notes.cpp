#include "step_notes.h"

#include <bit>

#include "lomo/core/log.h"
#include "lomo/core/text.h"

namespace lomo {

namespace {

constexpr double kMinRealised = 0.5;  // of the intended step

/// Nearest rounding of measured step 4, 16, 64 ..., at a rate that is not that of the warm-up only.
bool lost_to_rounding(StepReport const& report, TrainingState const& state,
                      TrainConfig const& config) {
  const auto measured = static_cast<std::uint64_t>(state.record.measured);
  return report.rounding && report.rounding->realised < kMinRealised &&
         config.optimizer.rounding == Rounding::nearest && measured > 1 &&
         std::has_single_bit(measured) && std::countr_zero(measured) % 2 == 0 &&
         report.lr >= config.optimizer.lr / 2;
}

}  // namespace

bool is_unusual(StepReport const& report) {
  return report.outcome != StepOutcome::applied || report.is_spike || is_news(report.rise) ||
         (report.rounding && report.rounding->realised < kMinRealised);
}

void tell(StepReport const& report, TrainingState const& state, TrainConfig const& config) {
  if (report.is_spike || is_news(report.rise)) {
    log::warn("step {}: {}; spike_guard.action {}", human_count(state.batches),
              describe_alarm(report), to_string(config.spike_guard.action));
  }
  if (lost_to_rounding(report, state, config)) {
    log::warn(
        "step {}: rounding to nearest realised {} of the intended step; optimizer.rounding "
        "\"stochastic\" realises all of it on average",
        human_count(state.batches), human_percent(report.rounding->realised));
  }
  if (report.outcome == StepOutcome::applied) return;
  log::warn("step {} skipped: {} (loss {}, gradient norm {}); {} skipped so far",
            human_count(state.batches), to_string(report.outcome), human_number(report.loss),
            human_number(report.grad_norm), human_count(state.trainer.skipped));
  if (report.outcome == StepOutcome::overflow) {
    log::warn("the loss scale falls from {} to {}", human_number(report.loss_scale),
              human_number(state.trainer.loss_scale.scale));
  }
}

nlohmann::ordered_json step_line(StepReport const& report, std::int64_t batch, std::int64_t epoch,
                                 TrainConfig const& config) {
  nlohmann::ordered_json line{{"event", "step"},
                              {"batch", batch},
                              {"step", report.step},
                              {"epoch", epoch},
                              {"outcome", to_string(report.outcome)},
                              {"loss", report.loss},
                              {"grad_norm", report.grad_norm},
                              {"lr", report.lr},
                              {"clip_coefficient", report.coefficient},
                              {"tokens", report.tokens},
                              {"targets", report.targets},
                              {"model_flops", report.model_flops},
                              {"seconds", report.seconds}};
  if (*config.model.dtype == DType::f16) line["loss_scale"] = report.loss_scale;
  if (config.spike_guard.action != SpikeAction::off) {
    line["loss_z"] = report.spike.loss;
    line["norm_z"] = report.spike.norm;
    if (report.rise.steps > 0) line["risen_for"] = report.rise.steps;
  }
  if (report.rounding) {
    line["changed"] = report.rounding->changed;
    line["realised"] = report.rounding->realised;
  }
  if (report.partial) {
    line["updated_tensors"] = report.partial->updated;
    line["stopped_in"] = report.partial->stopped_in;
  }
  return line;
}

}  // namespace lomo
