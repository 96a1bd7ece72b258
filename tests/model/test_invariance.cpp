#include <numeric>

#include "lomo/optim/sinks/fused_update.h"
#include "lomo/optim/sinks/keep_gradients.h"
#include "lomo/optim/sinks/norm_probe.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;
using namespace lomo::test;

namespace {

// A chain of about ten f32 operations of up to 100 terms each, in another order: a few hundred
// rounding errors of 2^-24 at the very most.
constexpr double kReordered = 300 * 0x1p-24;

/// With a `prompt` of 12 two sequences of five and 23 rows of 55 carry loss.
Batch mixed_batch(std::int64_t vocab, std::size_t prompt = 1) {
  const auto sequences = random_sequences({17, 1, 5, 30, 2}, prompt, vocab, 11);
  return make_batch(sequences);
}

}  // namespace

TEST_CASE("recomputing blocks, one by one or several together, gives the bits of keeping them") {
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::size_t prompt = GENERATE(1u, 12u);
  auto backend = make_cpu(2);
  ModelConfig shape = tiny_config(false);
  shape.layers = 5;
  Decoder model(*backend, shape, dtype);
  fill_weights(model, 1);
  const Batch batch = mixed_batch(101, prompt);
  const Gradients kept = gradients_of(model, batch, Recompute::none, 0.1f);
  for (const std::int64_t blocks : {1, 2, 3, 5, 9}) {
    INFO("every " << blocks << " blocks");
    CHECK(gradients_of(model, batch, Recompute{blocks}, 0.1f) == kept);
  }
  CHECK(norm(kept.at("model.embed_tokens.weight")) > 0);
}

TEST_CASE("between forward and backward the inputs of every k-th block are all that is kept") {
  auto backend = make_cpu(1);
  ModelConfig shape = tiny_config(false);
  shape.layers = 5;
  Decoder model(*backend, shape, DType::f32);
  fill_weights(model, 1);
  NormProbe probe({*backend, TileSize{}}, 1);
  for (const std::size_t blocks : {1u, 2u, 3u, 9u}) {
    Pass pass = model.forward(mixed_batch(101), Recompute{static_cast<std::int64_t>(blocks)});
    for (const bool after_a_backward : {false, true}) {
      if (after_a_backward) model.backward(pass, probe, 1, /*keep=*/true);
      for (std::size_t l = 0; l < pass.blocks.size(); ++l) {
        INFO("block " << l << ", every " << blocks << ", after a backward " << after_a_backward);
        CHECK(static_cast<bool>(pass.blocks[l].x) == (l % blocks == 0));
        CHECK_FALSE(pass.blocks[l].complete());
      }
    }
  }
}

TEST_CASE("a pass that is kept gives the same gradients again") {
  const Recompute recompute = GENERATE(Recompute::none, Recompute::block, Recompute{2},
                                       Recompute{1, 1}, Recompute{2, 1}, Recompute{1, 3});
  const bool tied = GENERATE(false, true);
  const std::size_t logits = GENERATE(std::size_t{0}, std::size_t{64} << 20);
  const std::size_t prompt = GENERATE(1u, 12u);
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(tied), DType::f32, HeadOptions{32, logits});
  fill_weights(model, 1);
  const Batch batch = mixed_batch(101, prompt);
  const Gradients once = gradients_of(model, batch, recompute, 0.1f);

  const auto before = weight_bits(model);
  Pass pass = model.forward(batch, recompute);
  NormProbe probe({*backend, TileSize{}}, 1);
  model.backward(pass, probe, 0.1f, /*keep=*/true);
  CHECK(weight_bits(model) == before);
  KeepGradients keep({*backend, TileSize{}}, model.weights().groups());
  model.backward(pass, keep, 0.1f, /*keep=*/false);
  double sum = 0;
  for (auto* group : model.weights().groups()) {
    for (auto const& p : group->members()) {
      const auto g = raw_values<float>(*backend, keep.gradient(p));
      CHECK(g == once.at(p.name));
      sum += norm(g) * norm(g);
    }
  }
  CHECK(probe.stats().sum_of_squares == Approx(sum).epsilon(1e-10));
}

TEST_CASE("the head by blocks agrees with kept logits") {
  const bool tied = GENERATE(false, true);
  auto backend = make_cpu(2);
  const Batch batch = mixed_batch(101);
  Decoder whole(*backend, tiny_config(tied), DType::f32, HeadOptions{4096, 64u << 20});
  fill_weights(whole, 1);
  const Gradients expected = gradients_of(whole, batch, Recompute::block, 0.1f);
  for (const std::int64_t block : {1, 7, 32, 101, 500}) {
    Decoder blocked(*backend, tiny_config(tied), DType::f32, HeadOptions{block, 0});
    fill_weights(blocked, 1);
    const Gradients got = gradients_of(blocked, batch, Recompute::block, 0.1f);
    for (auto const& [name, g] : expected) {
      INFO(name << ", blocks of " << block);
      CHECK(relative_distance(got.at(name), g) < kReordered);
    }
  }
}

TEST_CASE("sequences side by side give the sum of the sequences one by one") {
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(false), DType::f32);
  fill_weights(model, 1);
  const auto sequences = random_sequences({17, 1, 5, 30, 2}, 1, 101, 11);
  const Batch all = make_batch(sequences);
  const std::vector<float> losses = model.losses(all);
  const Gradients together = gradients_of(model, all, Recompute::block, 0.1f);

  std::vector<float> losses_apart;
  Gradients apart;
  for (auto const& sequence : sequences) {
    const Batch one = make_batch({&sequence, 1});
    for (const float loss : model.losses(one)) losses_apart.push_back(loss);
    for (auto const& [name, g] : gradients_of(model, one, Recompute::block, 0.1f)) {
      auto& sum = apart[name];
      sum.resize(g.size());
      for (std::size_t i = 0; i < g.size(); ++i) sum[i] += g[i];
    }
  }
  REQUIRE(losses.size() == losses_apart.size());
  CHECK(relative_distance(losses, losses_apart) < kReordered);
  for (auto const& [name, g] : together) {
    INFO(name);
    CHECK(relative_distance(g, apart.at(name)) < kReordered);
  }
}

TEST_CASE("a tied embedding gets the sum of both gradients") {
  auto backend = make_cpu(2);
  Decoder tied(*backend, tiny_config(true), DType::f32, HeadOptions{32, 0});
  Decoder untied(*backend, tiny_config(false), DType::f32, HeadOptions{32, 0});
  fill_weights(tied, 1);
  fill_weights(untied, 1);
  const Tensor embedding = untied.weights().embedding.stacked();
  backend->copy(untied.weights().head().stacked(), embedding);

  const Batch batch = mixed_batch(101);
  const Gradients both = gradients_of(tied, batch, Recompute::block, 0.1f);
  const Gradients parts = gradients_of(untied, batch, Recompute::block, 0.1f);
  std::vector<float> sum = parts.at("model.embed_tokens.weight");
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += parts.at("lm_head.weight")[i];
  CHECK(relative_distance(both.at("model.embed_tokens.weight"), sum) < kReordered);
  CHECK(both.count("lm_head.weight") == 0);
}

TEST_CASE("a fused step of a tied model equals the step with stored gradients, bit for bit") {
  const bool tied = GENERATE(true, false);
  const OptimizerKind kind = GENERATE(OptimizerKind::lomo, OptimizerKind::adalomo);
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::size_t logits = GENERATE(std::size_t{0}, std::size_t{64} << 20);
  const std::size_t prompt = GENERATE(1u, 12u);
  const float clip_value = GENERATE(0.0f, 0.01f);
  const auto train = [&](bool fuse) {
    auto backend = make_cpu(2);
    Decoder model(*backend, tiny_config(tied), dtype, HeadOptions{32, logits});
    fill_weights(model, 1);
    OptimizerOptions options;
    options.kind = kind;
    if (clip_value > 0) options.weight_decay = 0.1f;  // then rows without a gradient change too
    auto rule = make_update_rule(*backend, options, model.weights().groups());
    StepContext step;
    step.lr = 0.03f;
    step.gradient.clip_value = clip_value;
    step.gradient.coefficient = clip_value > 0 ? 0.7f : 1.0f;
    Pass pass = model.forward(mixed_batch(101, prompt), Recompute::block);
    if (fuse) {
      FusedUpdate sink({*backend, TileSize{1000}, {*rule, options.weight_decay}}, step);
      model.backward(pass, sink, 0.1f, /*keep=*/false);
    } else {
      KeepGradients sink({*backend, TileSize{}, {*rule, options.weight_decay}},
                         model.weights().groups());
      model.backward(pass, sink, 0.1f, /*keep=*/false);
      sink.apply(step);
    }
    return weight_bits(model);
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("clipping in two passes equals scaling the stored gradient") {
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const Recompute recompute = GENERATE(Recompute::none, Recompute::block, Recompute{2},
                                       Recompute{1, 1}, Recompute{2, 1}, Recompute{1, 3});
  const double limit = 1.0;
  const auto train = [&](bool two_pass) {
    auto backend = make_cpu(2);
    Decoder model(*backend, tiny_config(true), dtype, HeadOptions{32, 0});
    fill_weights(model, 1);
    auto rule = make_update_rule(*backend, {}, model.weights().groups());
    StepContext step;
    step.lr = 0.03f;
    Pass pass = model.forward(mixed_batch(101), recompute);
    const auto coefficient = [limit](TileSink const& sink) {
      const double norm = sink.stats().norm();
      REQUIRE(norm > limit);
      return static_cast<float>(limit / (norm + 1e-6));
    };
    if (two_pass) {
      NormProbe probe({*backend, TileSize{3000}}, 1);
      model.backward(pass, probe, 1.0f, /*keep=*/true);
      step.gradient.coefficient = coefficient(probe);
      FusedUpdate sink({*backend, TileSize{1000}, *rule}, step);
      model.backward(pass, sink, 1.0f, /*keep=*/false);
    } else {
      KeepGradients sink({*backend, TileSize{}, *rule}, model.weights().groups());
      model.backward(pass, sink, 1.0f, /*keep=*/false);
      step.gradient.coefficient = coefficient(sink);
      sink.apply(step);
    }
    return weight_bits(model);
  };
  CHECK(train(true) == train(false));
}

namespace {

/// Wants one group of a block, and what lies above all blocks.
class UpperOnly final : public TileSink {
 public:
  UpperOnly(Backend& backend, Decoder& model, ParameterGroup& lowest)
      : TileSink({backend, TileSize{}}), model_(model), lowest_(lowest) {}
  bool requires_grad(ParameterGroup const& group) const override {
    auto const& w = model_.weights();
    return &group == &lowest_ || &group == &w.norm.weight || &group == &w.head();
  }
  std::vector<std::string> seen;

 private:
  void act(ParameterGroup& group, std::vector<Offer>&) override {
    seen.push_back(group.members().front().name);
  }
  Decoder& model_;
  ParameterGroup& lowest_;
};

/// The norm of the gradients that UpperOnly wants.
class UpperNorm final : public GradientSink {
 public:
  UpperNorm(Backend& backend, Decoder& model, ParameterGroup& lowest)
      : upper_(backend, model, lowest), probe_({backend, TileSize{}}, 1) {}
  bool requires_grad(ParameterGroup const& group) const override {
    return upper_.requires_grad(group);
  }
  void offer(ParameterGroup& group, Offer offer, bool last) override {
    probe_.offer(group, std::move(offer), last);
  }
  double norm() const { return probe_.stats().norm(); }

 private:
  UpperOnly upper_;
  NormProbe probe_;
};

}  // namespace

TEST_CASE("backward stops below the lowest parameter that is wanted") {
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(false), DType::f32);
  fill_weights(model, 1);
  const Batch batch = mixed_batch(101);
  const auto flops_of_backward = [&](GradientSink& sink) {
    Pass pass = model.forward(batch, Recompute::none);
    backend->ledger().restart();
    model.backward(pass, sink, 0.1f, /*keep=*/false);
    return backend->ledger().flops();
  };
  UpperOnly upper(*backend, model, model.weights().blocks.back().down.weight);
  const double some = flops_of_backward(upper);
  CHECK(upper.seen == std::vector<std::string>{"lm_head.weight", "model.norm.weight",
                                               "model.layers.2.mlp.down_proj.weight"});
  NormProbe all({*backend, TileSize{}}, 1);
  CHECK(some < 0.5 * flops_of_backward(all));
}

TEST_CASE("blocks are recomputed together also where only an upper one of them is wanted") {
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(false), DType::f32);
  fill_weights(model, 1);
  const Batch batch = mixed_batch(101);
  const auto norms_of = [&](Recompute recompute) {
    Pass pass = model.forward(batch, recompute);
    std::vector<double> norms;
    for (const bool keep : {true, false}) {
      UpperNorm sink(*backend, model, model.weights().blocks[1].gate_up.weight);
      model.backward(pass, sink, 0.1f, keep);
      norms.push_back(sink.norm());
    }
    return norms;
  };
  const std::vector<double> kept = norms_of(Recompute::none);
  CHECK(kept[0] > 0);
  CHECK(kept[0] == kept[1]);
  for (const std::int64_t blocks : {1, 2, 3}) {
    for (const std::int64_t upper : {0, 1, 2}) CHECK(norms_of({blocks, upper}) == kept);
  }
}

TEST_CASE("a batch without targets has no gradient") {
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(false), DType::f32);
  fill_weights(model, 1);
  const Batch batch = make_batch(random_sequences({5, 3}, 100, 101, 3));
  REQUIRE(batch.loss_count() == 0);
  CHECK(model.losses(batch).empty());
  for (auto const& [name, g] : gradients_of(model, batch, Recompute::block, 1)) {
    INFO(name);
    CHECK(norm(g) == 0);
  }
}

TEST_CASE("generation with a cache sees what a whole forward sees") {
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(true), DType::f32);
  fill_weights(model, 1);
  std::vector<std::int32_t> ids(20);
  std::iota(ids.begin(), ids.end(), 5);
  const Sequence sequence = make_sequence(ids, 1);
  const std::vector<float> losses = model.losses(make_batch({&sequence, 1}));

  KeyValueCache cache = model.make_cache(32);
  std::vector<float> logits = model.extend(cache, {ids.begin(), ids.begin() + 4});
  for (std::size_t i = 4; i < ids.size(); ++i) {
    double sum = 0;
    for (const float z : logits) sum += std::exp(static_cast<double>(z));
    const double loss =
        std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(ids[i])]);
    CHECK(loss == Approx(losses[i - 1]).epsilon(1e-5));
    logits = model.extend(cache, {ids[i]});
  }
  CHECK(cache.used == 20);
}

TEST_CASE("an id outside the vocabulary is refused") {
  auto backend = make_cpu(1);
  Decoder model(*backend, tiny_config(true), DType::f32);
  fill_weights(model, 1);
  const Sequence sequence = make_sequence(std::vector<std::int32_t>{1, 101, 2}, 1);
  CHECK_THROWS_WITH(model.losses(make_batch({&sequence, 1})),
                    Catch::Contains("101 is not below the model's vocabulary of 101"));
}
