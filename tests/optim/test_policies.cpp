#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lomo/optim/sinks/fused_update.h"
#include "lomo/optim/sinks/keep_gradients.h"
#include "lomo/optim/sinks/norm_probe.h"
#include "support/catch.h"
#include "support/tensors.h"

using namespace lomo;

namespace {

constexpr std::int64_t kTokens = 24, kInputs = 32;

/// A group of two matrices and a norm, each with a gradient.
struct Layer {
  Layer() {
    for (auto* group : groups()) fill(group->stacked(), 0.05f);
    fill(dy, 0.2f);
    fill(x, 0.2f);
    fill(dnorm, 0.2f);
  }
  void fill(Tensor t, float scale) {
    test::fill(*backend, t, test::random_values(std::to_string(filled++), t.numel(), scale));
  }
  std::vector<ParameterGroup*> groups() { return {&linear, &norm}; }
  void offer_all(GradientSink& sink) {
    for (auto* group : groups()) {
      if (!sink.requires_grad(*group)) continue;
      group == &norm ? sink.offer(norm, VectorOffer{Factor::lent(dnorm)}, true)
                     : sink.offer(linear, LinearOffer{Factor::lent(dy), Factor::lent(x)}, true);
    }
  }
  std::vector<float> values(Parameter const& p) {
    return test::raw_values<float>(*backend, p.value);
  }

  std::unique_ptr<Backend> backend = make_cpu_backend({1, std::size_t{1} << 28});
  ParameterGroup linear{*backend, DType::f32, {{"q", 40}, {"k", 16}}, kInputs};
  ParameterGroup norm{*backend, DType::f32, "norm", kInputs};
  Buffer dy = backend->allocate(Shape(kTokens, 56), DType::f32, Category::activations, "dy");
  Buffer x = backend->allocate(Shape(kTokens, kInputs), DType::f32, Category::activations, "x");
  Buffer dnorm = backend->allocate(Shape(kInputs), DType::f32, Category::activations, "dnorm");
  int filled = 0;
};

StepContext step_of(double lr) {
  StepContext step;
  step.lr = lr;
  return step;
}

/// One update under `policies`: the values of q, k and the norm.
std::vector<std::vector<float>> updated(auto const& policies_of, double lr, bool stored = false) {
  Layer layer;
  const auto rule = make_update_rule(*layer.backend, {}, layer.groups());
  const Policies policies = policies_of(*rule);
  if (stored) {
    KeepGradients sink({*layer.backend, TileSize{1000}, policies}, layer.groups());
    layer.offer_all(sink);
    sink.apply(step_of(lr));
  } else {
    FusedUpdate sink({*layer.backend, TileSize{1000}, policies}, step_of(lr));
    layer.offer_all(sink);
  }
  return {layer.values(layer.linear.members()[0]), layer.values(layer.linear.members()[1]),
          layer.values(layer.norm.single())};
}

Policies same_for_all(UpdateRule& rule) {
  return rule;
}

}  // namespace

TEST_CASE("a frozen parameter keeps its bits, costs no product, and the others change as before") {
  const bool stored = GENERATE(false, true);
  const auto frozen = [](UpdateRule& rule) {
    return Policies({.rule = &rule}, {{"k", {.frozen = true}}, {"norm", {.frozen = true}}});
  };
  Layer before;
  const auto all = updated(same_for_all, 0.1, stored);
  const auto some = updated(frozen, 0.1, stored);
  CHECK(some[0] == all[0]);
  CHECK(some[1] == before.values(before.linear.members()[1]));
  CHECK(all[1] != some[1]);
  CHECK(some[2] == before.values(before.norm.single()));

  Layer layer;
  const auto rule = make_update_rule(*layer.backend, {}, layer.groups());
  FusedUpdate sink({*layer.backend, TileSize{1000}, frozen(*rule)}, step_of(0.1));
  CHECK(sink.requires_grad(layer.linear));
  CHECK_FALSE(sink.requires_grad(layer.norm));
  layer.backend->ledger().restart();
  layer.offer_all(sink);
  CHECK(layer.backend->ledger().ops().at("linear_backward_weight").cost.flops ==
        2.0 * 40 * kInputs * kTokens);
}

TEST_CASE("a policy's rate is a factor of the step's, and its decay its own") {
  const auto quarter_for_q = [](UpdateRule& rule) {
    return Policies({.rule = &rule}, {{"q", {.rule = &rule, .lr_factor = 0.25}}});
  };
  const auto with_factor = updated(quarter_for_q, 0.5);
  CHECK(with_factor[0] == updated(same_for_all, 0.125)[0]);
  CHECK(with_factor[1] == updated(same_for_all, 0.5)[1]);

  const auto decayed = [](UpdateRule& rule) {
    return Policies({.rule = &rule, .weight_decay = 0.1},
                    {{"norm", {.rule = &rule, .weight_decay = 0}}});
  };
  const auto with_decay = updated(decayed, 0.5);
  CHECK(with_decay[0] == updated([](UpdateRule& rule) { return Policies(rule, 0.1); }, 0.5)[0]);
  CHECK(with_decay[2] == updated(same_for_all, 0.5)[2]);
}

TEST_CASE("parameters of one group may have rules of their own") {
  Layer one, two, both;
  const auto of = [&](Layer& fresh, OptimizerKind q, OptimizerKind k) {
    OptimizerOptions of_q, of_k;
    of_q.kind = q;
    of_k.kind = k;
    const auto rule_q = make_update_rule(*fresh.backend, of_q, fresh.groups());
    const auto rule_k = make_update_rule(*fresh.backend, of_k, fresh.groups());
    const Policies policies({.rule = rule_q.get()}, {{"k", {.rule = rule_k.get()}}});
    FusedUpdate sink({*fresh.backend, TileSize{1000}, policies}, step_of(0.1));
    fresh.offer_all(sink);
    return std::pair(fresh.values(fresh.linear.members()[0]),
                     fresh.values(fresh.linear.members()[1]));
  };
  const auto all_lomo = of(one, OptimizerKind::lomo, OptimizerKind::lomo);
  const auto all_adalomo = of(two, OptimizerKind::adalomo, OptimizerKind::adalomo);
  const auto mixed = of(both, OptimizerKind::lomo, OptimizerKind::adalomo);
  CHECK(mixed.first == all_lomo.first);
  CHECK(mixed.second == all_adalomo.second);
  CHECK(all_lomo.second != all_adalomo.second);
}

TEST_CASE("a parameter that does not count in the norm is still looked at") {
  const NormMethod method = GENERATE(NormMethod::tiles, NormMethod::cheapest);
  const auto stats_of = [&](Policies const& policies, float poison) {
    Layer layer;
    if (poison != 0) {
      auto dnorm = test::raw_values<float>(*layer.backend, layer.dnorm);
      dnorm.front() = poison;
      test::fill(*layer.backend, layer.dnorm, dnorm);
    }
    NormProbe probe({*layer.backend, TileSize{}, policies}, 1, method);
    layer.offer_all(probe);
    return probe.stats();
  };
  const auto only = [&](char const* name) {
    std::map<std::string, ParameterPolicy> named{{name, {}}};
    return stats_of(Policies({.in_norm = false}, named), 0).sum_of_squares;
  };
  const double all = stats_of({}, 0).sum_of_squares;
  CHECK(only("q") + only("k") + only("norm") == Approx(all).epsilon(1e-6));
  CHECK(only("q") > 0);
  CHECK(only("none of them") == 0);
  CHECK(stats_of(Policies({.in_norm = false}), 0).finite());
  CHECK_FALSE(
      stats_of(Policies({.in_norm = false}), std::numeric_limits<float>::infinity()).finite());
}
