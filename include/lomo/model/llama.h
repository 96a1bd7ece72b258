#pragma once
#include <cstdint>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/model/activations.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// What forward keeps for backward.
enum class Recompute : std::uint8_t {
  none,   // every intermediate that backward reads
  block,  // the input of every block; backward runs each block's forward again
};

struct HeadOptions {
  /// Logits of at most this many vocabulary rows exist at once.
  std::int64_t block_rows = 4096;
  /// When all logits of a batch (N' V f32) fit into this many bytes they are kept from forward to
  /// backward, which saves computing them again.
  std::size_t keep_logits_bytes = 64u << 20;
};

/// A LLaMA-architecture model (Touvron et al. 2023, arXiv 2302.13971) on one engine. Forward and
/// backward never change a weight; only a sink does.
class Llama {
 public:
  Llama(Backend& backend, ModelConfig const& config, DType dtype, HeadOptions const& head = {});

  Backend& backend() { return backend_; }
  ModelConfig const& config() const { return config_; }
  DType dtype() const { return dtype_; }
  LlamaWeights& weights() { return weights_; }
  LlamaWeights const& weights() const { return weights_; }

  /// Runs the batch and keeps what `recompute` says. Ids must be below V.
  Pass forward(Batch const& batch, Recompute recompute);
  /// The same without anything kept: for evaluation. Returns the loss (N') in nats of each row that
  /// has a target, in order; minus the log-probability. Blocks.
  std::vector<float> losses(Batch const& batch);
  /// Offers the gradient of loss_scale / global_targets * sum of losses to the sink, last block
  /// first. With `keep` the pass stays usable for a second backward (a norm pass before an update);
  /// otherwise activations are consumed and moved into the offers.
  void backward(Pass& pass, GradientSink& sink, float gradient_scale, bool keep);

  /// Last-row logits (V) of new tokens appended to a cache. Blocks.
  std::vector<float> extend(KeyValueCache& cache, std::vector<std::int32_t> const& tokens);

 private:
  Backend& backend_;
  ModelConfig config_;
  DType dtype_;
  HeadOptions head_;
  LlamaWeights weights_;
  Buffer inv_freq_;  // (D/2) f32
};

}  // namespace lomo
