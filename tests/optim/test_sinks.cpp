#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "lomo/optim/sinks/fused_update.h"
#include "lomo/optim/sinks/keep_gradients.h"
#include "lomo/optim/sinks/norm_probe.h"
#include "support/catch.h"
#include "support/tensors.h"

using namespace lomo;

namespace {

constexpr std::int64_t kRows = 600;   // N, above the size where a dense product takes another path
constexpr std::int64_t kInputs = 96;  // I

/// A q/k/v-like group, a norm and an embedding, with the offers of one backward.
struct Fixture {
  explicit Fixture(DType dtype,
                   std::unique_ptr<Backend> engine = make_cpu_backend({2, std::size_t{1} << 30}))
      : backend(std::move(engine)),
        linear(*backend, dtype, {{"q", 128}, {"k", 40}, {"v", 40}}, kInputs),
        norm(*backend, dtype, "norm", kInputs),
        embedding(*backend, dtype, {{"embedding", 50}}, kInputs) {
    for (auto* group : groups()) fill(group->stacked(), 0.05f);
    dy = backend->allocate(Shape(kRows, 208), dtype, Category::activations, "dy");
    x = backend->allocate(Shape(kRows, kInputs), dtype, Category::activations, "x");
    dnorm = backend->allocate(Shape(kInputs), DType::f32, Category::activations, "dnorm");
    rows = backend->allocate(Shape(7, kInputs), DType::f32, Category::activations, "rows");
    for (Tensor t : {dy.tensor(), x.tensor(), dnorm.tensor(), rows.tensor()}) fill(t, 0.2f);
    ids = test::make_index(*backend, {0, 3, 4, 17, 30, 31, 49});
  }

  /// Other numbers at each call.
  void fill(Tensor t, float scale) {
    test::fill(*backend, t, test::random_values(std::to_string(filled++), t.numel(), scale));
  }

  std::vector<ParameterGroup*> groups() { return {&linear, &norm, &embedding}; }

  void offer_all(GradientSink& sink) {
    sink.offer(linear, LinearOffer{Factor::lent(dy), Factor::lent(x)}, true);
    sink.offer(norm, VectorOffer{Factor::lent(dnorm)}, true);
    sink.offer(embedding, EmbeddingOffer{Factor::lent(rows), ids}, true);
  }

  std::vector<std::vector<std::byte>> bits() {
    std::vector<std::vector<std::byte>> all;
    for (auto* group : groups()) all.push_back(test::bits(*backend, group->stacked()));
    return all;
  }

  std::unique_ptr<Backend> backend;
  ParameterGroup linear, norm, embedding;
  Buffer dy, x, dnorm, rows, ids;
  int filled = 0;
};

using Bits = std::vector<std::vector<std::byte>>;

StepContext step_with(float lr) {
  StepContext step;
  step.lr = lr;
  step.gradient.clip_value = 0.5f;
  step.gradient.coefficient = 0.7f;
  return step;
}

/// `tensors`: all, to be looked at by the sink, or 0.
Bits fused(DType dtype, OptimizerOptions const& options, std::size_t tile_bytes,
           std::size_t tensors = 0) {
  Fixture f(dtype);
  auto rule = make_update_rule(*f.backend, options, f.groups());
  for (int t = 1; t <= 2; ++t) {
    StepContext step = step_with(0.05f);
    step.step = t;
    FusedUpdate sink({*f.backend, TileSize{tile_bytes}, {*rule, options.weight_decay}}, step,
                     tensors);
    f.offer_all(sink);
  }
  return f.bits();
}

Bits stored(DType dtype, OptimizerOptions const& options) {
  Fixture f(dtype);
  auto rule = make_update_rule(*f.backend, options, f.groups());
  for (int t = 1; t <= 2; ++t) {
    KeepGradients sink({*f.backend, TileSize{}, {*rule, options.weight_decay}}, f.groups());
    f.offer_all(sink);
    StepContext step = step_with(0.05f);
    step.step = t;
    sink.apply(step);
  }
  return f.bits();
}

}  // namespace

TEST_CASE("fused and stored gradients give the same bits at any tile size") {
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const Rounding rounding = GENERATE(Rounding::nearest, Rounding::stochastic);
  const OptimizerKind kind = GENERATE(OptimizerKind::lomo, OptimizerKind::adalomo);
  const float decay = GENERATE(0.0f, 0.1f);
  OptimizerOptions options;
  options.kind = kind;
  options.rounding = rounding;
  options.weight_decay = decay;
  const Bits expected = stored(dtype, options);
  REQUIRE(expected != Fixture(dtype).bits());
  for (const std::size_t rows : {1, 7, 32, 1000}) {
    CHECK(fused(dtype, options, rows * kInputs * sizeof(float)) == expected);
  }
  CHECK(fused(dtype, options, 7 * kInputs * sizeof(float), /*tensors=*/5) == expected);
}

TEST_CASE("the norm pass changes nothing and agrees with the stored gradients") {
  Fixture f(DType::bf16);
  const Bits before = f.bits();
  NormProbe probe({*f.backend, TileSize{}}, 0.5f);
  f.offer_all(probe);
  CHECK(f.bits() == before);

  KeepGradients keep({*f.backend, TileSize{}}, f.groups());
  f.offer_all(keep);
  double sum = 0;
  for (auto* group : f.groups()) {
    for (auto const& parameter : group->members()) {
      for (const float g : test::raw_values<float>(*f.backend, keep.gradient(parameter))) {
        sum += 0.25 * static_cast<double>(g) * static_cast<double>(g);
      }
    }
  }
  // Doubles of about 25,000 terms: 25,000 * 2^-53 relative at the very most.
  CHECK(probe.stats().sum_of_squares == Approx(sum).epsilon(3e-12));
  CHECK(probe.stats().finite());
}

TEST_CASE("the norm does not depend on the tile size") {
  Fixture f(DType::f32);
  const auto sum_at = [&f](std::size_t bytes) {
    NormProbe probe({*f.backend, TileSize{bytes}}, 1);
    f.offer_all(probe);
    return probe.stats().sum_of_squares;
  };
  const double whole = sum_at(64u << 20);
  CHECK(sum_at(1) == whole);
  CHECK(sum_at(9 * kInputs * sizeof(float)) == whole);
}

TEST_CASE("nothing is applied from the first tile that is not finite on") {
  Fixture f(DType::f32);
  const auto before_embedding = test::bits(*f.backend, f.embedding.stacked());
  const auto before_linear = test::bits(*f.backend, f.linear.stacked());
  auto poisoned = test::raw_values<float>(*f.backend, f.dnorm);
  poisoned.back() = std::numeric_limits<float>::infinity();
  test::fill(*f.backend, f.dnorm, poisoned);
  const auto before_norm = test::bits(*f.backend, f.norm.stacked());

  auto rule = make_update_rule(*f.backend, {}, f.groups());
  FusedUpdate sink({*f.backend, TileSize{}, *rule}, step_with(0.05f), /*tensors=*/5);
  f.offer_all(sink);
  CHECK_FALSE(sink.stats().finite());
  CHECK(test::bits(*f.backend, f.linear.stacked()) != before_linear);  // offered before
  CHECK(test::bits(*f.backend, f.norm.stacked()) == before_norm);
  CHECK(test::bits(*f.backend, f.embedding.stacked()) == before_embedding);
}

TEST_CASE("stored gradients are applied all or not at all, state included") {
  const OptimizerKind kind =
      GENERATE(OptimizerKind::sgd, OptimizerKind::adamw, OptimizerKind::adalomo);
  Fixture f(DType::f32);
  OptimizerOptions options;
  options.kind = kind;
  options.momentum = 0.9;
  auto rule = make_update_rule(*f.backend, options, f.groups());
  const auto state_bits = [&] {
    Bits all;
    for (auto const& s : rule->state()) all.push_back(test::bits(*f.backend, s.value));
    return all;
  };
  const Bits before = f.bits();
  const Bits state_before = state_bits();
  auto poisoned = test::raw_values<float>(*f.backend, f.rows);
  poisoned.front() = std::numeric_limits<float>::quiet_NaN();
  test::fill(*f.backend, f.rows, poisoned);
  KeepGradients sink({*f.backend, TileSize{}, *rule}, f.groups());
  f.offer_all(sink);
  sink.apply(step_with(0.05f));
  CHECK(f.bits() == before);
  CHECK(state_bits() == state_before);
}
