#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/model/activations.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"
#include "lomo/parallel/sharded_batch.h"
#include "lomo/parallel/vocabulary_parallel.h"
#include "lomo/parallel/weight_gatherer.h"

namespace lomo {

struct LayerContext;  // src/model/layers/context.h
struct HeadContext;   // src/model/layers/lm_head.h

struct HeadOptions {
  /// Logits of at most this many vocabulary rows exist at once.
  std::int64_t block_rows = 4096;
  /// When all logits of a batch (N' V f32) fit into this many bytes they are kept from forward to
  /// backward, which saves computing them again.
  std::size_t keep_logits_bytes = 64u << 20;
  // ---- on ranks
  /// Rows of all ranks together that go through the head at once, and their gradients back.
  std::int64_t chunk_rows = 4096;
  /// What a rank's part of the gradient of the head's input is rounded to before it is sent.
  DType comm_dtype = DType::bf16;

  /// Whether the logits (A,V) of a pass are kept.
  bool keeps_logits(std::int64_t rows, std::int64_t vocab) const {
    return static_cast<std::size_t>(rows * vocab) * sizeof(float) <= keep_logits_bytes;
  }
  /// Rows of each rank that go through the head at once.
  std::int64_t rows_of_rank(int ranks) const {
    return std::max<std::int64_t>(chunk_rows / ranks, 1);
  }
  /// Rows of the vocabulary that each rank gives out at once.
  std::int64_t vocabulary_tile(int ranks) const {
    return std::max<std::int64_t>(block_rows / ranks, 1);
  }
};

/// A LLaMA-architecture model (Touvron et al. 2023, arXiv 2302.13971) on one engine. Forward and
/// backward never change a weight; only a sink does.
class Decoder {
 public:
  /// `ranks`: those that hold the model together, each its rows of every matrix.
  Decoder(Backend& backend, ModelConfig const& config, DType dtype, HeadOptions const& head,
          Communicator& ranks);
  /// A model that is whole here.
  Decoder(Backend& backend, ModelConfig const& config, DType dtype, HeadOptions const& head = {})
      : Decoder(backend, config, dtype, head, backend.self_group()) {}

  Backend& backend() { return backend_; }
  ModelConfig const& config() const { return config_; }
  DType dtype() const { return dtype_; }
  Communicator& ranks() const { return ranks_; }
  DecoderWeights& weights() { return weights_; }
  DecoderWeights const& weights() const { return weights_; }

  /// Whether the last block of a pass over so many rows, `loss_rows` of which carry loss (both of
  /// all ranks), runs on those alone.
  static bool last_block_on_loss_rows(std::int64_t rows, std::int64_t loss_rows);

  /// Runs the batch and keeps what `recompute` says. All ranks give their shards of one batch. A
  /// token or target that is not an id of the vocabulary is an error (Exit::data).
  Pass forward(ShardedBatch const& batch, Recompute recompute);
  /// Offers the gradient of `scale` * sum of the losses to the sink, last block first. With `keep`
  /// the pass stays usable for another backward (a norm pass before an update); otherwise its
  /// activations are consumed and moved into the offers.
  void backward(Pass& pass, GradientSink& sink, float scale, bool keep);
  /// The same in two parts, for a sink that can keep the upper one: the head and the blocks from
  /// the last down to `lowest`, then the rest. Below `lowest` the pass keeps what `backward_rest`
  /// needs.
  BackwardPoint backward_upper(Pass& pass, GradientSink& sink, float scale, std::int64_t lowest,
                               bool keep);
  /// Goes on from `point`; with `keep` the rest of the pass, not the point, stays usable.
  void backward_rest(Pass& pass, BackwardPoint point, GradientSink& sink, bool keep);
  /// A point to resume from more than once.
  BackwardPoint duplicate(BackwardPoint const& point);
  /// Loss (N') in nats of each row of this rank that has a target, in batch order. Blocks.
  std::vector<float> losses(Pass const& pass);
  /// The same for evaluation: runs the batch and keeps nothing. Blocks.
  std::vector<float> losses(ShardedBatch const& batch);
  /// The same of every rank, all of which know them. Blocks.
  std::vector<std::vector<float>> losses_by_rank(Pass const& pass);
  /// The pass of an evaluation, of which only the losses are left.
  Pass score(ShardedBatch const& batch);

  /// Room for the keys and values of `capacity` tokens.
  KeyValueCache make_cache(std::int64_t capacity);
  /// Appends tokens (at least one) to a sequence and returns the logits (V) after the last of them.
  /// On ranks each has a sequence of its own, and all call this equally often. Blocks.
  std::vector<float> extend(KeyValueCache& cache, std::vector<std::int32_t> const& tokens);
  /// The same; the logits (1,V) f32 stay on the engine.
  Buffer next_logits(KeyValueCache& cache, std::vector<std::int32_t> const& tokens);

 private:
  enum class Purpose : std::uint8_t { train, evaluate };
  Pass run(ShardedBatch const& batch, Recompute recompute, Purpose purpose);
  /// Checks the ids, and brings the lists of a batch into engine memory.
  DeviceBatch upload(ShardedBatch const& batch);
  Buffer embed_tokens(DeviceBatch const& batch);
  void prefetch_forward();
  /// Blocks below this one need no backward; 0 when the embedding is wanted.
  std::size_t lowest_requiring_grad(GradientSink const& sink) const;
  /// Makes what backward reads of block l, and of those between it and the input that was kept.
  void recompute_block(Pass& pass, std::size_t l, std::size_t lowest);
  Buffer backward_block(Pass& pass, std::size_t l, Buffer d, GradientSink& sink, bool keep);
  LayerContext layer_context(Pass const& pass, std::size_t l);
  HeadContext head_context(Pass const& pass);
  /// Announces what a backward will read in the blocks below `from`.
  void prefetch_backward(Pass const& pass, GradientSink const& sink, std::size_t from);

  Backend& backend_;
  ModelConfig config_;
  DType dtype_;
  HeadOptions head_;
  Communicator& ranks_;
  DecoderWeights weights_;
  WeightGatherer gatherer_;
  VocabularyParallel vocabulary_;
  Buffer inv_freq_;  // (D/2) f32
};

}  // namespace lomo
