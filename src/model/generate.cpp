#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "block.h"
#include "lomo/core/error.h"
#include "lomo/data/batch.h"
#include "lomo/model/decoder.h"
#include "lomo/parallel/ownership.h"
#include "transfer.h"

namespace lomo {

namespace {

/// Rows of one sequence that goes on at position `used`.
Batch continuation(std::vector<std::int32_t> const& tokens, std::int64_t used) {
  const Sequence sequence{tokens, std::vector<std::int32_t>(tokens.size(), kNoTarget)};
  Batch batch = make_batch({&sequence, 1});
  std::iota(batch.positions.begin(), batch.positions.end(), static_cast<std::int32_t>(used));
  batch.loss_rows = {static_cast<std::int32_t>(tokens.size()) - 1};
  return batch;
}

}  // namespace

KeyValueCache Decoder::make_cache(std::int64_t capacity) {
  KeyValueCache cache;
  const Shape shape(capacity, config_.kv_heads * config_.head_width);
  for (std::int64_t l = 0; l < config_.layers; ++l) {
    cache.keys.push_back(backend_.allocate(shape, dtype_, Category::activations, "cached keys"));
    cache.values.push_back(
        backend_.allocate(shape, dtype_, Category::activations, "cached values"));
  }
  return cache;
}

std::vector<float> Decoder::extend(KeyValueCache& cache, std::vector<std::int32_t> const& tokens) {
  return to_host(backend_, next_logits(cache, tokens));
}

Buffer Decoder::next_logits(KeyValueCache& cache, std::vector<std::int32_t> const& tokens) {
  const auto n = static_cast<std::int64_t>(tokens.size());
  const std::int64_t total = cache.used + n;
  if (n == 0) throw Error("extend: no tokens");
  if (const std::int64_t room = cache.keys.front().tensor().rows(); total > room) {
    throw Error("extend: " + std::to_string(total) + " tokens do not fit a cache of " +
                std::to_string(room));
  }

  const DeviceBatch rows = upload(gather_batch(ranks_, continuation(tokens, cache.used)));
  std::vector<std::int32_t> positions(static_cast<std::size_t>(total));
  std::iota(positions.begin(), positions.end(), 0);
  const Buffer key_positions = to_engine(backend_, positions, "key positions");
  const Buffer key_starts = to_engine(
      backend_, std::vector<std::int32_t>{0, static_cast<std::int32_t>(total)}, "key starts");
  const Sequences key_rows{key_starts, key_positions, total};

  prefetch_forward();
  Buffer x = embed_tokens(rows);  // (n,C)
  for (std::size_t l = 0; l < weights_.blocks.size(); ++l) {
    const Past past{cache.keys[l], cache.values[l], cache.used, key_rows};
    BlockActivations a;
    a.x = std::move(x);
    const LayerSpec spec = config_.layer(static_cast<std::int64_t>(l));
    const LayerContext ctx{backend_, gatherer_, spec, dtype_, rows, inv_freq_};
    x = block_forward(ctx, weights_.blocks[l], a, Keep::nothing, &past);
  }
  cache.used = total;

  const Shape row(1, config_.width);
  Buffer last = backend_.allocate(row, dtype_, Category::activations, "last row");
  Buffer normed = backend_.allocate(row, dtype_, Category::activations, "last row, normed");
  Buffer rstd = backend_.allocate(Shape(1), DType::f32, Category::activations, "last row rstd");
  Buffer logits = backend_.allocate(Shape(1, config_.vocab), DType::f32, Category::activations,
                                    "next-token logits");
  backend_.gather_rows(last, x, rows.loss_rows);
  weights_.norm.forward(backend_, normed, rstd, last, config_.norm_eps);
  if (config_.logits_scale != 1) backend_.scale(normed, normed, config_.logits_scale);
  vocabulary_.row_logits(logits, normed, weights_.head().single().value);
  return logits;
}

}  // namespace lomo
