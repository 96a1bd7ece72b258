#pragma once
#include <cstdint>

#include "lomo/config/config.h"
#include "lomo/io/json.h"
#include "lomo/run/training_state.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// Whether there may be anything to say of a step beside its progress: a spike, a rise of the loss,
/// that it was not applied, or how much of it was lost to rounding.
bool is_unusual(StepReport const& report);
/// Says it. `state`: after the step.
void tell(StepReport const& report, TrainingState const& state, TrainConfig const& config);
/// The step's line of metrics.jsonl. `epoch`: that its batch was drawn from.
nlohmann::ordered_json step_line(StepReport const& report, std::int64_t batch, std::int64_t epoch,
                                 TrainConfig const& config);

}  // namespace lomo
