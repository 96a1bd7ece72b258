#include "lomo/model/decoder.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "block.h"
#include "layers/embedding.h"
#include "layers/lm_head.h"
#include "transfer.h"

namespace lomo {

namespace {

// The last block runs on the rows that carry loss alone unless they are all but an eighth: then one
// product for q, k and v and no row copies are worth more than what is saved.
constexpr std::int64_t kAllRowsShare = 8;

/// Elements of the largest matrix of a block.
std::int64_t largest_matrix(DecoderWeights const& weights) {
  std::int64_t largest = 0;
  for (BlockWeights const& block : weights.blocks) {
    for (Parameter const* parameter : forward_order(block)) {
      largest = std::max(largest, parameter->whole.numel());
    }
  }
  return largest;
}

}  // namespace

Decoder::Decoder(Backend& backend, ModelConfig const& config, DType dtype, HeadOptions const& head,
                 Communicator& ranks)
    : backend_(backend),
      config_(config),
      dtype_(dtype),
      head_(head),
      ranks_(ranks),
      weights_(backend, config, dtype, rank_info(ranks_)),
      gatherer_(backend, ranks_, dtype, largest_matrix(weights_)),
      vocabulary_(backend, ranks_),
      inv_freq_(backend.allocate(Shape(config.turned() / 2), DType::f32, Category::workspace,
                                 "rope frequencies")) {
  const std::vector<float> frequencies = rope_frequencies(config_);
  backend_.upload(inv_freq_, std::as_bytes(std::span(frequencies)));
}

bool Decoder::last_block_on_loss_rows(std::int64_t rows, std::int64_t loss_rows) {
  return loss_rows * kAllRowsShare < rows * (kAllRowsShare - 1);
}

LayerContext Decoder::layer_context(Pass const& pass, std::size_t l) {
  const bool last = l + 1 == weights_.blocks.size();
  return {backend_,
          gatherer_,
          config_.layer(static_cast<std::int64_t>(l)),
          dtype_,
          pass.batch,
          inv_freq_,
          /*loss_rows_only=*/last && pass.last_on_loss_rows};
}

HeadContext Decoder::head_context(Pass const& pass) {
  return {backend_, config_, dtype_, head_, pass.batch, vocabulary_};
}

Buffer Decoder::embed_tokens(DeviceBatch const& batch) {
  Buffer x = embedding_forward(vocabulary_, weights_.embedding, batch,
                               head_.vocabulary_tile(ranks_.size()));
  if (config_.embedding_scale != 1) backend_.scale(x, x, config_.embedding_scale);
  return x;
}

void Decoder::prefetch_forward() {
  gatherer_.invalidate();
  std::vector<Parameter const*> order;
  for (BlockWeights const& block : weights_.blocks) {
    for (Parameter const* parameter : forward_order(block)) order.push_back(parameter);
  }
  gatherer_.prefetch(order);
}

Pass Decoder::run(ShardedBatch const& batch, Recompute recompute, Purpose purpose) {
  const bool training = purpose == Purpose::train;
  const auto keep = [&](std::size_t l) {
    if (training && recompute.keeps_all(l, weights_.blocks.size())) return Keep::all;
    return training && recompute.keeps_input(l) ? Keep::input : Keep::nothing;
  };

  Pass pass;
  pass.rows = batch.mine.rows();
  pass.loss_rows = batch.mine.loss_count();
  pass.recompute = recompute;
  pass.batch = upload(batch);
  // By the counts of all ranks, which go the same way.
  pass.last_on_loss_rows = last_block_on_loss_rows(batch.tokens(), pass.all_loss_rows());

  prefetch_forward();
  Buffer x = embed_tokens(pass.batch);  // (N,C)
  for (std::size_t l = 0; l < weights_.blocks.size(); ++l) {
    BlockActivations a;
    a.x = std::move(x);
    x = block_forward(layer_context(pass, l), weights_.blocks[l], a, keep(l));
    if (training) pass.blocks.push_back(std::move(a));
  }
  if (pass.last_on_loss_rows) {
    pass.head.x = std::move(x);  // (N',C)
  } else {
    pass.head.x = backend_.allocate(Shape(pass.loss_rows, config_.width), dtype_,
                                    Category::activations, "head input");  // (N',C)
    backend_.gather_rows(pass.head.x, x, pass.batch.loss_rows);
    x.reset();
  }
  head_forward(head_context(pass), weights_.norm, weights_.head(), pass.head, training);
  return pass;
}

Pass Decoder::forward(ShardedBatch const& batch, Recompute recompute) {
  return run(batch, recompute, Purpose::train);
}

std::vector<float> Decoder::losses(Pass const& pass) {
  return losses_by_rank(pass)[static_cast<std::size_t>(ranks_.rank())];
}

std::vector<std::vector<float>> Decoder::losses_by_rank(Pass const& pass) {
  const std::vector<float> all = to_host(backend_, pass.head.loss);
  std::vector<std::vector<float>> by_rank(static_cast<std::size_t>(ranks_.size()));
  auto next = all.begin();
  for (LossRows::Chunk const& chunk : pass.batch.all_loss_rows.chunks) {
    for (std::size_t q = 0; q < by_rank.size(); ++q) {
      by_rank[q].insert(by_rank[q].end(), next, next + chunk.counts[q]);
      next += chunk.counts[q];
    }
  }
  return by_rank;
}

std::vector<float> Decoder::losses(ShardedBatch const& batch) {
  return losses(score(batch));
}

Pass Decoder::score(ShardedBatch const& batch) {
  return run(batch, Recompute::block, Purpose::evaluate);
}

// Below the lowest wanted parameter nothing is computed.
std::size_t Decoder::lowest_requiring_grad(GradientSink const& sink) const {
  std::size_t lowest = 0;
  if (sink.requires_grad(weights_.embedding)) return lowest;
  const auto wanted = [&sink](BlockWeights const& w) {
    return std::ranges::any_of(
        w.groups(), [&sink](ParameterGroup const* group) { return sink.requires_grad(*group); });
  };
  while (lowest < weights_.blocks.size() && !wanted(weights_.blocks[lowest])) ++lowest;
  return lowest;
}

void Decoder::backward(Pass& pass, GradientSink& sink, float scale, bool keep) {
  const auto all = static_cast<std::int64_t>(weights_.blocks.size());
  backward_rest(pass, backward_upper(pass, sink, scale, all, keep), sink, keep);
}

BackwardPoint Decoder::backward_upper(Pass& pass, GradientSink& sink, float scale,
                                      std::int64_t lowest, bool keep) {
  prefetch_backward(pass, sink, weights_.blocks.size());
  Buffer d = head_backward(head_context(pass), weights_.norm, weights_.head(), pass.head, scale,
                           sink, !keep, /*last=*/!config_.tied_embeddings);  // (N',C)
  if (!pass.last_on_loss_rows) d = spread_rows(backend_, d, pass.batch.loss_rows, pass.rows);
  const std::size_t end = std::max(static_cast<std::size_t>(lowest), lowest_requiring_grad(sink));
  for (std::size_t l = weights_.blocks.size(); l-- > end;) {
    d = backward_block(pass, l, std::move(d), sink, keep);
  }
  return {lowest, std::move(d)};
}

void Decoder::backward_rest(Pass& pass, BackwardPoint point, GradientSink& sink, bool keep) {
  Buffer d = std::move(point.d);
  prefetch_backward(pass, sink, static_cast<std::size_t>(point.below));
  for (auto l = static_cast<std::size_t>(point.below); l-- > lowest_requiring_grad(sink);) {
    d = backward_block(pass, l, std::move(d), sink, keep);
  }
  if (!sink.requires_grad(weights_.embedding)) return;
  if (config_.embedding_scale != 1) backend_.scale(d, d, config_.embedding_scale);
  embedding_backward(backend_, weights_.embedding, pass.batch, std::move(d), sink);
}

void Decoder::prefetch_backward(Pass const& pass, GradientSink const& sink, std::size_t from) {
  const std::size_t lowest = lowest_requiring_grad(sink);
  std::vector<Parameter const*> order;
  std::size_t recomputed = from;  // from here up
  for (std::size_t l = from; l-- > lowest;) {
    BlockWeights const& w = weights_.blocks[l];
    const std::vector<Parameter const*> forward = forward_order(w);
    if (pass.recompute.on() && l < recomputed && !pass.blocks[l].complete()) {
      recomputed = pass.recompute.first_with(l);
      for (std::size_t below = recomputed; below < l; ++below) {
        const auto whole = forward_order(weights_.blocks[below]);
        order.insert(order.end(), whole.begin(), whole.end());
      }
      order.insert(order.end(), forward.begin(), forward.end() - 1);  // its output is known
    }
    // Where nothing below is wanted, q, k and v are not read: what is fetched must not change while
    // it is sent, and they change next.
    const bool reads_qkv =
        l > lowest || sink.requires_grad(weights_.embedding) || sink.requires_grad(w.norm1.weight);
    const auto unread = static_cast<std::ptrdiff_t>(reads_qkv ? 0 : w.qkv.weight.members().size());
    order.insert(order.end(), forward.rbegin(), forward.rend() - unread);
  }
  gatherer_.prefetch(order);
}

void Decoder::recompute_block(Pass& pass, std::size_t l, std::size_t lowest) {
  const std::size_t first = pass.recompute.first_with(l);
  for (std::size_t i = first; i < l; ++i) {
    Keep keep = Keep::all;
    if (i < lowest) keep = i == first ? Keep::input : Keep::nothing;  // backward ends above it
    pass.blocks[i + 1].x =
        block_forward(layer_context(pass, i), weights_.blocks[i], pass.blocks[i], keep);
  }
  block_forward(layer_context(pass, l), weights_.blocks[l], pass.blocks[l], Keep::recompute_block);
}

Buffer Decoder::backward_block(Pass& pass, std::size_t l, Buffer d, GradientSink& sink, bool keep) {
  const LayerContext ctx = layer_context(pass, l);
  BlockActivations& a = pass.blocks[l];
  const std::size_t lowest = lowest_requiring_grad(sink);
  const bool recomputed = !pass.recompute.keeps_all(l, weights_.blocks.size());
  if (recomputed && !a.complete()) recompute_block(pass, l, lowest);
  const bool input_gradient = l > lowest || sink.requires_grad(weights_.embedding);
  Buffer dx = block_backward(ctx, weights_.blocks[l], a, std::move(d), sink, recomputed || !keep,
                             input_gradient);
  if (!keep || (recomputed && !pass.recompute.keeps_input(l))) a.x.reset();
  return dx;
}

BackwardPoint Decoder::duplicate(BackwardPoint const& point) {
  const Tensor d = point.d;
  Buffer copy =
      backend_.allocate(d.shape(), d.dtype(), Category::activations, "gradient to resume from");
  backend_.copy(copy, d);
  return {point.below, std::move(copy)};
}

}  // namespace lomo
