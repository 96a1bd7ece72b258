#pragma once
#include "lomo/plan/plan.h"

namespace lomo {

/// Whether the run needs to know its whole gradient before a fused optimizer applies it.
bool takes_check(TrainConfig const& config);

/// Resolves clip.kept_blocks of a fused optimizer: all for one_pass, none for two_pass. For auto
/// the most for which a plan of `batches` stays within memory.budget, found by planning; without a
/// budget none, since free memory is a matter of chance. What is resolved already stays: a resumed
/// run goes on as it began. On ranks all resolve the same.
void resolve_clip(TrainConfig& config, ModelConfig const& model, PlannedBatches const& batches,
                  MakeEngine const& make_dry);

}  // namespace lomo
