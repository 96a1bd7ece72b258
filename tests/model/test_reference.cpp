// The engine's model against the reference model in double, every loss and every gradient.
#include <cmath>
#include <vector>

#include "model/tiny.h"
#include "reference/llama.h"
#include "support/catch.h"

using namespace lomo;
using namespace lomo::test;

namespace {

reference::ModelShape shape_of(ModelConfig const& c) {
  reference::ModelShape m;
  m.width = c.width;
  m.layers = c.layers;
  m.heads = c.heads;
  m.kv_heads = c.kv_heads;
  m.head_width = c.head_width;
  m.ffn = c.ffn;
  m.vocab = c.vocab;
  m.norm_eps = static_cast<double>(c.norm_eps);
  m.tied = c.tied_embeddings;
  for (const float f : rope_frequencies(c)) m.inv_freq.push_back(static_cast<double>(f));
  return m;
}

/// The model's weights as they are stored, in double.
reference::Weights<double> weights_of(Decoder& model, reference::ModelShape const& shape) {
  auto w = reference::weights_like<double>(shape);
  std::vector<std::vector<double>> stored;
  for (auto* group : model.weights().groups()) {
    for (auto const& p : group->members()) stored.push_back(values(model.backend(), p.value));
  }
  std::size_t next = 0;
  reference::each(w, [&](auto& parameter) {
    REQUIRE(parameter.size() == stored.at(next).size());
    parameter.assign(stored[next].begin(), stored[next].end());
    ++next;
  });
  return w;
}

reference::Tokens tokens_of(Batch const& batch) {
  reference::Tokens t;
  t.tokens.assign(batch.tokens.begin(), batch.tokens.end());
  t.rows.starts.assign(batch.starts.begin(), batch.starts.end());
  t.rows.positions.assign(batch.positions.begin(), batch.positions.end());
  t.loss_rows.assign(batch.loss_rows.begin(), batch.loss_rows.end());
  t.targets.assign(batch.targets.begin(), batch.targets.end());
  return t;
}

double relative(std::vector<float> const& got, std::vector<double> const& expected) {
  REQUIRE(got.size() == expected.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - expected[i];
    difference += d * d;
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("losses and gradients agree with the reference model in double") {
  const bool tied = GENERATE(false, true);
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::size_t logits = GENERATE(std::size_t{0}, std::size_t{64} << 20);
  // Rows without a target: none, a few, most; the last block leaves them out from an eighth on.
  const std::size_t prompt = GENERATE(0u, 2u, 12u);
  // Every value on the way passes about 60 operations whose results are rounded to the storage
  // type, each of them a sum of about 56 products in f32. Taken as a random walk over all roundings
  // that count, and four times that for safety.
  const double roundings = dtype == DType::f32 ? 60.0 * 56.0 : 60.0;
  const double bound = 4 * std::sqrt(roundings) * unit_roundoff(dtype);

  auto backend = make_cpu(2);
  const ModelConfig config = tiny_config(tied);
  Decoder model(*backend, config, dtype, HeadOptions{32, logits});
  fill_weights(model, 5);
  const Batch batch = make_batch(random_sequences({17, 1, 5, 30, 2}, prompt, config.vocab, 7));

  const reference::ModelShape shape = shape_of(config);
  auto w = weights_of(model, shape);
  const reference::Tokens tokens = tokens_of(batch);
  CHECK(relative(model.losses(batch), reference::losses(shape, w, tokens)) < bound);

  // f16 wants its loss scaled, or small gradients are subnormal and rounded coarsely.
  const float scale = dtype == DType::f16 ? 64.0f : 0.25f;
  const Gradients gradients = gradients_of(model, batch, Recompute::block, scale);
  auto expected = reference::loss_gradient(shape, w, tokens, static_cast<double>(scale));
  std::vector<std::string> names;
  for (auto* group : model.weights().groups()) {
    for (auto const& p : group->members()) names.push_back(p.name);
  }
  std::size_t next = 0;
  reference::each(expected, [&](auto const& parameter) {
    INFO(names.at(next));
    CHECK(relative(gradients.at(names[next]), parameter) < bound);
    ++next;
  });
  CHECK(next == names.size());
}
