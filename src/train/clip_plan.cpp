#include "lomo/train/clip_plan.h"

#include <algorithm>

namespace lomo {

namespace {

using Bytes = std::size_t;

// Alignment of the slab, small vectors and scratch of the operations themselves.
constexpr Bytes kSlack = Bytes{16} << 20;

Bytes product(std::int64_t a, std::int64_t b) {
  return static_cast<Bytes>(a) * static_cast<Bytes>(b);
}

struct Widths {
  explicit Widths(ModelConfig const& c)
      : attended(c.heads * c.head_width), qkv(attended + 2 * c.kv_heads * c.head_width) {}
  std::int64_t attended;  // HD
  std::int64_t qkv;       // (H+2G)D
};

/// What forward leaves of a block for its backward, elements a row; f32 figures count double.
std::int64_t block_width(ModelConfig const& c) {
  const Widths w(c);
  return 4 * c.width + w.qkv + w.attended + 3 * c.ffn + 2 * (2 + c.heads);
}

/// Gradients of activations that stand beside it during backward.
std::int64_t gradient_width(ModelConfig const& c) {
  const Widths w(c);
  return 5 * c.width + w.qkv + w.attended + 3 * c.ffn;
}

}  // namespace

std::size_t factor_bytes(ModelConfig const& model, DType dtype, std::int64_t rows) {
  const Widths w(model);
  const std::int64_t width = 4 * model.width + w.attended + w.qkv + 3 * model.ffn;
  return product(rows, width) * size_of(dtype);
}

std::size_t step_bytes(ModelConfig const& model, TrainConfig const& config,
                       StepSizes const& sizes) {
  const DType dtype = config.model.dtype.value_or(model.dtype);
  const std::int64_t n = sizes.rows, targets = sizes.loss_rows, c = model.width;
  const bool replays = config.train.recompute == Recompute::block;
  const std::int64_t kept =
      replays ? model.layers * c + block_width(model) : model.layers * block_width(model);
  const Bytes blocks = product(n, kept + gradient_width(model)) * size_of(dtype);

  const Bytes logits = product(targets, model.vocab) * sizeof(float);
  const bool keeps_logits = logits <= config.memory.keep_logits_bytes;
  const std::int64_t block_rows = std::min(config.memory.head_block_rows, model.vocab);
  const Bytes scores = 2 * (keeps_logits ? logits : product(targets, block_rows) * sizeof(float));
  const Bytes head = product(targets, 6 * c) * sizeof(float) + scores;
  const Bytes embedding = product(std::min(n, model.vocab), c) * sizeof(float);

  // A tile, its packed factor and the scratch of its product; AdaLomo's is the largest tensor.
  const Bytes largest = product(std::max(model.vocab, model.ffn), c) * sizeof(float);
  const bool whole = config.optimizer.name == OptimizerKind::adalomo;
  const Bytes tile = 3 * (whole ? largest : std::min(largest, config.memory.tile_bytes));
  return blocks + head + embedding + tile + kSlack;
}

void settle_clip(TrainConfig& config, ModelConfig const& model, StepSizes const& sizes) {
  ClipSection& clip = config.clip;
  switch (clip.strategy) {
    case ClipStrategy::one_pass:
      clip.kept_blocks = model.layers;
      return;
    case ClipStrategy::two_pass:
      clip.kept_blocks = 0;
      return;
    case ClipStrategy::automatic:
      break;
  }
  if (clip.kept_blocks) {
    clip.kept_blocks = std::min(*clip.kept_blocks, model.layers);
    return;
  }
  const Bytes needed = sizes.held + step_bytes(model, config, sizes);
  const Bytes room = sizes.capacity > needed ? sizes.capacity - needed : 0;
  const Bytes block = factor_bytes(model, config.model.dtype.value_or(model.dtype), sizes.rows);
  const Bytes fit = room / std::max<Bytes>(block, 1);
  clip.kept_blocks =
      std::min(static_cast<std::int64_t>(std::min<Bytes>(fit, 1u << 20)), model.layers);
}

}  // namespace lomo
