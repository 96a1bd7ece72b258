#pragma once
#include "lomo/plan/plan.h"

namespace lomo {

/// Whether the run needs to know its whole gradient before a fused optimizer applies it.
bool takes_check(TrainConfig const& config);

/// Resolves what a run keeps of a forward: train.recompute, and clip.kept_blocks of a fused
/// optimizer (all for one_pass, none for two_pass). What is `auto` is chosen by planning so that
/// `batches` take the least work within memory.budget; without a budget nothing is kept, since free
/// memory is a matter of chance. What is resolved already stays: a resumed run goes on as it began.
/// On ranks all resolve the same.
void resolve_kept(TrainConfig& config, ModelConfig const& model, PlannedBatches const& batches,
                  MakeEngine const& make_dry);

}  // namespace lomo
