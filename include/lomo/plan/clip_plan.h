#pragma once
#include "lomo/plan/plan.h"

namespace lomo {

/// Whether the run needs to know its whole gradient before a fused optimizer applies it.
bool takes_verdict(TrainConfig const& config);

/// Settles clip.kept_blocks of a fused optimizer: all for one_pass, none for two_pass. For auto the
/// most for which a plan of `batches` stays within memory.budget, found by planning; without a
/// budget none, since free memory is a matter of chance. What is settled already stays: a resumed
/// run goes on as it began. On ranks all settle the same.
void settle_clip(TrainConfig& config, ModelConfig const& model, PlannedBatches const& batches,
                 MakeEngine const& make_dry);

}  // namespace lomo
