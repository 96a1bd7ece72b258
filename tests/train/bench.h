#pragma once
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

namespace lomo::test {

/// A tiny model on an engine of its own, and one batch for it.
struct Bench {
  explicit Bench(DType dtype = DType::f32) : model(*backend, tiny_config(false), dtype) {
    fill_weights(model, 1);
  }

  std::unique_ptr<Backend> backend = make_cpu(1);
  Decoder model;
  std::vector<Sequence> sequences = random_sequences({9, 4, 13}, 2, 101, 3);
  Batch batch = make_batch(sequences);

  std::vector<std::vector<std::byte>> weights() { return weight_bits(model); }

  /// Multiplies the weights of a group.
  void scale(ParameterGroup const& group, float factor) {
    auto weights = values(*backend, group.stacked());
    for (double& w : weights) w *= static_cast<double>(factor);
    fill(*backend, group.stacked(), weights);
  }

  /// Makes every loss of the model a NaN.
  void poison() {
    const std::vector<float> nan(101 * 40, std::numeric_limits<float>::quiet_NaN());
    backend->upload(model.weights().head().stacked(), std::as_bytes(std::span(nan)));
  }
};

inline TrainConfig bench_config(OptimizerKind kind, double clip) {
  TrainConfig c;
  c.optimizer.kind = kind;
  c.optimizer.lr = 0.1;
  c.optimizer.rounding = Rounding::nearest;
  c.clip.norm = clip;
  c.train.stop_after_skips = 3;
  c.memory.tile_bytes = 4096;  // several tiles a matrix
  return c;
}

}  // namespace lomo::test
