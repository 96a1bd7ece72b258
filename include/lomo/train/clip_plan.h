#pragma once
#include <cstddef>
#include <cstdint>

#include "lomo/train/config.h"

namespace lomo {

/// What the largest step of a run works with.
struct StepSizes {
  std::int64_t rows = 0;       // N of the largest batch
  std::int64_t loss_rows = 0;  // N', the most rows with a target
  std::size_t capacity = 0;    // bytes the engine may hold
  std::size_t held = 0;        // bytes it holds between steps: weights, optimizer
};

/// Bytes that the factors of one block's gradients take, kept from one backward:
/// N (4C + HD + (H+2G)D + 3F) elements.
std::size_t factor_bytes(ModelConfig const& model, DType dtype, std::int64_t rows);

/// An upper bound of what a step needs at once beside weights and optimizer when no factors are
/// kept.
std::size_t step_bytes(ModelConfig const& model, TrainConfig const& config, StepSizes const& sizes);

/// Settles clip.kept_blocks: all for one_pass, none for two_pass, for auto as many as fit, unless
/// it is settled already: a resumed run goes on as it began, whatever memory is free now.
void settle_clip(TrainConfig& config, ModelConfig const& model, StepSizes const& sizes);

}  // namespace lomo
