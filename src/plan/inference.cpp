#include <algorithm>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/plan/plan.h"
#include "lomo/train/generation.h"
#include "lomo/train/trainer.h"

namespace lomo {

MemoryUse held_by(Ledger const& ledger) {
  return {ledger.peak(), ledger.at_peak(), ledger.extent()};
}

MemoryUse planned_evaluation(TrainConfig const& config, ModelConfig const& shape,
                             PlannedBatches const& batches, MakeEngine const& make_dry) {
  Runtime runtime(make_dry(), config, shape);
  Decoder& model = runtime.model();
  for (ShardedBatch const& batch : batches.eval) model.score(batch);
  for (GenerationLengths const& lengths : batches.generations) rehearse_generation(model, lengths);
  return held_by(runtime.ledger());
}

MemoryUse planned_generation(TrainConfig const& config, ModelConfig const& shape,
                             std::int64_t prompt, std::int64_t total, MakeEngine const& make_dry) {
  Runtime runtime(make_dry(), config, shape);
  rehearse_generation(runtime.model(), {prompt, total});
  return held_by(runtime.ledger());
}

void require_memory(std::string const& what, std::size_t needed, std::size_t free,
                    std::size_t budget, std::string const& remedy) {
  const std::size_t limit = budget > 0 ? std::min(free, budget) : free;
  if (needed <= limit) return;
  throw Error(Exit::memory, what + " needs " + human_bytes(needed) + " of engine memory and has " +
                                human_bytes(limit) +
                                (budget > 0 ? " (memory.budget, or what is free)" : " free") +
                                ". " + remedy);
}

}  // namespace lomo
