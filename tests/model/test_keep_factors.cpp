// One backward that keeps its factors against two: the same update to the bit, the same norm.
#include <string>

#include "lomo/core/error.h"
#include "lomo/optim/sinks/fused_update.h"
#include "lomo/optim/sinks/keep_factors.h"
#include "lomo/optim/sinks/norm_probe.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;
using namespace lomo::test;

namespace {

struct Setting {
  bool tied = false;
  DType dtype = DType::f32;
  Recompute recompute = Recompute::block;
  std::size_t prompt = 1;
  std::size_t logits = 0;
  OptimizerKind kind = OptimizerKind::lomo;
  float clip_value = 0, weight_decay = 0;
};

struct Trained {
  std::vector<std::vector<std::byte>> weights;
  double squares = 0;
};

constexpr std::int64_t kTwoPasses = -1;

/// One step whose norm pass keeps the factors of the `kept` upper blocks.
Trained step_once(Setting const& s, std::int64_t kept, NormMethod method) {
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(s.tied), s.dtype, HeadOptions{32, s.logits});
  fill_weights(model, 1);
  OptimizerOptions options;
  options.kind = s.kind;
  auto rule = make_update_rule(*backend, options, model.weights().groups());
  StepContext step;
  step.lr = 0.03f;
  step.gradient.coefficient = 0.3f;
  step.gradient.clip_value = s.clip_value;
  const Batch batch = make_batch(random_sequences({17, 1, 5, 30, 2}, s.prompt, 101, 11));
  Pass pass = model.forward(batch, s.recompute);
  const auto before = weight_bits(model);
  Trained out;
  if (kept == kTwoPasses) {
    NormProbe probe({*backend, TileSize{}}, 1, method);
    model.backward(pass, probe, 0.1f, /*keep=*/true);
    out.squares = probe.stats().sum_of_squares;
    FusedUpdate update({*backend, TileSize{1000}, {*rule, s.weight_decay}}, step);
    model.backward(pass, update, 0.1f, /*keep=*/false);
  } else {
    KeepFactors factors({*backend, TileSize{}}, 1, method);
    const std::int64_t layers = model.config().layers;
    BackwardPoint point = model.backward_upper(pass, factors, 0.1f, layers - kept, false);
    const bool whole = kept == layers;
    if (whole) {
      model.backward_rest(pass, std::move(point), factors, false);
    } else {
      factors.stop_keeping();
      model.backward_rest(pass, model.duplicate(point), factors, true);
    }
    out.squares = factors.stats().sum_of_squares;
    CHECK(weight_bits(model) == before);
    FusedUpdate update({*backend, TileSize{1000}, {*rule, s.weight_decay}}, step);
    factors.release(update);
    if (!whole) model.backward_rest(pass, std::move(point), update, false);
  }
  out.weights = weight_bits(model);
  return out;
}

}  // namespace

TEST_CASE("kept factors give the update of two passes, however many blocks are kept") {
  Setting s;
  s.tied = GENERATE(false, true);
  s.recompute = GENERATE(Recompute::none, Recompute::block, Recompute{2}, Recompute{3},
                         Recompute{1, 1}, Recompute{3, 2});
  s.prompt = GENERATE(1u, 12u);
  SECTION("f32, head by blocks") {}
  SECTION("bf16, logits kept") {
    s.dtype = DType::bf16;
    s.logits = std::size_t{64} << 20;
  }
  SECTION("f16, clipped by value, with decay") {
    s.dtype = DType::f16;
    s.clip_value = 0.01f;
    s.weight_decay = 0.1f;
  }
  SECTION("AdaLomo") {
    s.kind = OptimizerKind::adalomo;
  }
  const Trained two = step_once(s, kTwoPasses, NormMethod::tiles);
  for (const std::int64_t kept : {0, 1, 2, 3}) {
    INFO(kept << " blocks kept");
    const Trained one = step_once(s, kept, NormMethod::tiles);
    CHECK(one.weights == two.weights);
    // The same tiles in another order of groups: a few dozen sums in double.
    CHECK(one.squares == Approx(two.squares).epsilon(100 * 0x1p-53));
    const Trained gram = step_once(s, kept, NormMethod::cheapest);
    CHECK(gram.weights == two.weights);
    // Gram sums of at most 202 products in f32, a random walk, four times for safety.
    CHECK(gram.squares == Approx(two.squares).epsilon(4 * std::sqrt(202.0) * 0x1p-24));
  }
}

TEST_CASE("factors that backward keeps cannot be kept") {
  auto backend = make_cpu(1);
  Decoder model(*backend, tiny_config(false), DType::f32);
  fill_weights(model, 1);
  Pass pass = model.forward(make_batch(random_sequences({9}, 1, 101, 1)), Recompute::none);
  KeepFactors factors({*backend, TileSize{}}, 1);
  CHECK_THROWS_WITH(model.backward(pass, factors, 1, /*keep=*/true),
                    Catch::Contains("keep = false"));
}

TEST_CASE("released factors give their memory back") {
  auto backend = make_cpu(1);
  Decoder model(*backend, tiny_config(false), DType::f32);
  fill_weights(model, 1);
  const std::size_t weights = backend->ledger().current();
  {
    Pass pass = model.forward(make_batch(random_sequences({40, 20}, 1, 101, 1)), Recompute::block);
    KeepFactors factors({*backend, TileSize{}}, 1);
    model.backward(pass, factors, 1, /*keep=*/false);
    const std::size_t kept = backend->ledger().current(Category::activations);
    // 60 rows of dqkv, d mid, d gate and up, d out and their inputs in three blocks.
    CHECK(kept > 3u * 60 * 4 * (80 + 40 + 112 + 40 + 40 + 40 + 40 + 56));
    NormProbe sink({*backend, TileSize{}}, 1);
    factors.release(sink);
    CHECK(backend->ledger().current(Category::activations) < kept / 4);
  }
  CHECK(backend->ledger().current() == weights);
}
