#pragma once
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/model/decoder.h"
#include "lomo/optim/sinks/keep_gradients.h"
#include "support/tensors.h"

namespace lomo::test {

inline std::unique_ptr<Backend> make_cpu(int threads) {
  return make_cpu_backend({threads, std::size_t{1} << 30});
}

/// A model small enough for a double reference, with every awkwardness: grouped queries, a head
/// width that is no power of two, a vocabulary that no block size divides.
inline ModelConfig tiny_config(bool tied) {
  ModelConfig c;
  c.width = 40;
  c.layers = 3;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 10;
  c.ffn = 56;
  c.vocab = 101;
  c.context = 64;
  c.norm_eps = 1e-5f;
  c.tied_embeddings = tied;
  return c;
}

/// The same with everything that a family may have and LLaMA has not.
inline ModelConfig unlike_llama(bool tied) {
  ModelConfig c = tiny_config(tied);
  c.qkv_bias = c.out_bias = c.mlp_bias = true;
  c.head_norm = true;
  c.window = 4;
  c.windowed = {true, false, true};
  c.rotates = {true, false, true};
  c.rotary_width = 6;
  c.attention_scale = 0.3f;
  c.embedding_scale = 2;
  c.residual_scale = 0.5f;
  c.logits_scale = 0.5f;
  return c;
}

/// Weights N(0, 0.2^2) so that every part of the gradient matters; norms around 1. The same for any
/// number of ranks.
inline void fill_weights(Decoder& model, std::uint64_t seed) {
  for (auto* group : model.weights().groups()) {
    for (auto& p : group->members()) {
      RandomStream random(random_key(seed, "test", p.name, 0));
      std::vector<float> values(static_cast<std::size_t>(p.whole.numel()));
      for (float& v : values) {
        v = static_cast<float>((p.sharded() ? 0.0 : 1.0) + 0.2 * random.normal());
      }
      const auto here = values.begin() + p.first_element();
      fill(model.backend(), p.value, std::vector<float>(here, here + p.value.numel()));
    }
  }
}

/// Sequences of the given lengths; the first `prompt` positions of each carry no loss.
inline std::vector<Sequence> random_sequences(std::vector<int> const& lengths, std::size_t prompt,
                                              std::int64_t vocab, std::uint64_t seed) {
  RandomStream random(random_key(seed, "test", "sequences", 0));
  std::vector<Sequence> out;
  for (const int length : lengths) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i <= length; ++i) {
      ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab))));
    }
    out.push_back(make_sequence(ids, prompt + 1));
  }
  return out;
}

using Gradients = std::map<std::string, std::vector<float>>;

/// Every gradient of scale * sum of losses.
inline Gradients gradients_of(Decoder& model, ShardedBatch const& batch, Recompute recompute,
                              float scale) {
  Pass pass = model.forward(batch, recompute);
  KeepGradients sink({model.backend(), TileSize{}}, model.weights().groups());
  model.backward(pass, sink, scale, /*keep=*/false);
  Gradients out;
  for (auto* group : model.weights().groups()) {
    for (auto const& p : group->members()) {
      out[p.name] = raw_values<float>(model.backend(), sink.gradient(p));
    }
  }
  return out;
}

inline double norm(std::vector<float> const& v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

/// |a - b| / |b|, in the 2-norm; NaN when anything is NaN.
inline double relative_distance(std::vector<float> const& a, std::vector<float> const& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum) / norm(b);
}

inline std::vector<std::vector<std::byte>> weight_bits(Decoder& model) {
  std::vector<std::vector<std::byte>> all;
  for (auto* group : model.weights().groups()) {
    all.push_back(bits(model.backend(), group->stacked()));
  }
  return all;
}

}  // namespace lomo::test
