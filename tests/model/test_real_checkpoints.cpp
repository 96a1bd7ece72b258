// Loss, log-probabilities and gradients of real checkpoints against float64 references made by an
// independent implementation; see the README of the test data.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/model/checkpoint.h"
#include "model/tiny.h"
#include "support/catch.h"
#include "support/data.h"

using namespace lomo;
using namespace lomo::test;
using nlohmann::json;

namespace {

// Of log-probabilities in f32: relative above 1 nat, absolute below.
constexpr double kLogProb = 1e-5;

struct Checkpoint {
  Checkpoint(std::string const& name, DType dtype)
      : folder(data_dir() / "checkpoints" / name),
        reference(json::parse(std::ifstream(folder / "reference.json"))),
        backend(make_cpu(2)),
        model(*backend, read_model_config(folder / "hf" / "config.json"), dtype) {
    load_weights(*backend, model.weights(), folder / "hf");
  }
  std::filesystem::path folder;
  json reference;
  std::unique_ptr<Backend> backend;
  Decoder model;
};

Batch batch_of(json const& reference_case) {
  const Sequence sequence =
      make_sequence(reference_case["ids"].get<std::vector<std::int32_t>>(), 1);
  return make_batch({&sequence, 1});
}

/// "layer3.wq" of the reference as the Hugging Face tensor it became.
std::string hugging_face_name(std::string const& name) {
  static const std::map<std::string, std::string> kInLayer = {
      {"attention_norm", "input_layernorm"},
      {"ffn_norm", "post_attention_layernorm"},
      {"wq", "self_attn.q_proj"},
      {"wk", "self_attn.k_proj"},
      {"wv", "self_attn.v_proj"},
      {"wo", "self_attn.o_proj"},
      {"w1(gate)", "mlp.gate_proj"},
      {"w2(down)", "mlp.down_proj"},
      {"w3(up)", "mlp.up_proj"}};
  if (name.rfind("tok_embeddings", 0) == 0) return "model.embed_tokens.weight";
  if (name.rfind("layer", 0) != 0) return "model.norm.weight";
  const auto dot = name.find('.');
  return "model.layers." + name.substr(5, dot - 5) + "." + kInLayer.at(name.substr(dot + 1)) +
         ".weight";
}

/// The reference stores the rows of wq and wk of a head as pairs (2i, 2i+1); the Hugging Face
/// layout has them as halves (i, i + D/2).
std::size_t moved_index(std::string const& name, std::size_t flat, std::size_t cols,
                        ModelConfig const& c) {
  if (!name.ends_with(".wq") && !name.ends_with(".wk")) return flat;
  const auto d = static_cast<std::size_t>(c.head_width);
  const std::size_t row = flat / cols;
  const std::size_t in_head = row % d;
  const std::size_t moved = row - in_head + (in_head % 2) * (d / 2) + in_head / 2;
  return moved * cols + flat % cols;
}

}  // namespace

TEST_CASE("losses of real checkpoints agree with float64 references") {
  LOMO_NEEDS_DATA();
  const std::string name = GENERATE("stories260K", "zh-poem-750K");
  Checkpoint checkpoint(name, DType::f32);
  for (auto const& c : checkpoint.reference["cases"]) {
    const Batch batch = batch_of(c);
    const std::vector<float> losses = checkpoint.model.losses(batch);
    const auto expected = c["per_token_nll"].get<std::vector<double>>();
    REQUIRE(losses.size() == expected.size());
    double sum = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      INFO("token " << i);
      CHECK(std::abs(losses[i] - expected[i]) <= kLogProb * std::max(1.0, expected[i]));
      sum += losses[i];
    }
    CHECK(sum / static_cast<double>(losses.size()) ==
          Approx(c["mean_loss"].get<double>()).margin(kLogProb).epsilon(0));

    const auto ids = c["ids"].get<std::vector<std::int32_t>>();
    KeyValueCache cache = checkpoint.model.make_cache(static_cast<std::int64_t>(ids.size()));
    const std::vector<float> logits = checkpoint.model.extend(cache, {ids.begin(), ids.end() - 1});
    double total = 0;
    for (const float z : logits) total += std::exp(static_cast<double>(z));
    const auto logprobs = c["last_position_logprobs"].get<std::vector<double>>();
    REQUIRE(logits.size() == logprobs.size());
    for (std::size_t v = 0; v < logits.size(); ++v) {
      CHECK(std::abs(logits[v] - std::log(total) - logprobs[v]) <=
            kLogProb * std::max(1.0, std::abs(logprobs[v])));
    }
  }
}

TEST_CASE("gradients of real checkpoints agree with float64 references") {
  LOMO_NEEDS_DATA();
  const std::string name = GENERATE("stories260K", "zh-poem-750K");
  Checkpoint checkpoint(name, DType::f32);
  for (auto const& c : checkpoint.reference["cases"]) {
    const Batch batch = batch_of(c);
    const Gradients gradients = gradients_of(checkpoint.model, batch, Recompute::block,
                                             1.0f / static_cast<float>(batch.loss_count()));
    double total = 0;
    for (auto const& [reference_name, expected] : c["grads"].items()) {
      INFO(reference_name);
      auto const& g = gradients.at(hugging_face_name(reference_name));
      const auto l2 = expected["l2"].get<double>();
      total += norm(g) * norm(g);
      CHECK(norm(g) == Approx(l2).epsilon(1e-4));
      const double typical = l2 / std::sqrt(static_cast<double>(g.size()));
      const auto cols = expected["shape"].back().get<std::size_t>();
      for (auto const& [flat, value] : expected["samples"].items()) {
        const std::size_t i =
            moved_index(reference_name, std::stoul(flat), cols, checkpoint.model.config());
        const double v = value.get<double>();
        CHECK(g[i] == Approx(v).margin(1e-4 * std::max(std::abs(v), typical)).epsilon(0));
      }
    }
    CHECK(std::sqrt(total) == Approx(c["grad_global_l2"].get<double>()).epsilon(1e-4));
  }
}

TEST_CASE("stories260K continues as its author's program does") {
  LOMO_NEEDS_DATA();
  Checkpoint checkpoint("stories260K", DType::f32);
  const auto expected =
      checkpoint.reference["greedy_from_bos_150"].get<std::vector<std::int32_t>>();
  KeyValueCache cache = checkpoint.model.make_cache(static_cast<std::int64_t>(expected.size()));
  std::vector<std::int32_t> got{expected.front()};
  while (got.size() < expected.size()) {
    const std::vector<float> logits = checkpoint.model.extend(cache, {got.back()});
    got.push_back(
        static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  CHECK(got == expected);
}

TEST_CASE("real checkpoints in bf16 stay within bf16's precision") {
  LOMO_NEEDS_DATA();
  Checkpoint checkpoint("stories260K", DType::bf16);
  for (auto const& c : checkpoint.reference["cases"]) {
    const std::vector<float> losses = checkpoint.model.losses(batch_of(c));
    const auto expected = c["per_token_nll"].get<std::vector<double>>();
    // The loss is an average over n tokens of a logit's error. About 12 roundings a block of
    // relative size 2^-9 each add up like a random walk over 5 blocks: sqrt(60) 2^-9 = 1.5 % of
    // logits of size 10 or so, 0.15 nats a token; the mean of 128 of them is far tighter.
    double sum = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const double error = losses[i] - expected[i];
      CHECK(std::abs(error) < 4 * 0.15);
      sum += error;
    }
    CHECK(std::abs(sum / static_cast<double>(losses.size())) < 0.15 / 4);
  }
}
