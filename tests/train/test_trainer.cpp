#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/train/scoring.h"
#include "support/errors.h"
#include "train/bench.h"

using namespace lomo;

namespace {

using test::Bench;

TrainConfig config(OptimizerKind kind, double clip) {
  return test::bench_config(kind, clip);
}

const Schedule kConstant(ScheduleKind::constant, 0.1, 0, 10);

}  // namespace

TEST_CASE("a clipped LOMO step is the SGD step with the stored gradient scaled, bit for bit") {
  Bench fused, stored;
  Trainer lomo(fused.model, config(OptimizerKind::lomo, 0.5), kConstant);
  Trainer sgd(stored.model, config(OptimizerKind::sgd, 0.5), kConstant);
  const auto before = fused.weights();
  for (int step = 1; step <= 3; ++step) {
    const StepReport a = lomo.step(fused.batch);
    const StepReport b = sgd.step(stored.batch);
    CHECK(a.outcome == StepOutcome::applied);
    CHECK(a.step == step);
    CHECK(a.loss == b.loss);
    CHECK(a.grad_norm == b.grad_norm);
    REQUIRE(a.grad_norm > 0.5);  // or nothing is clipped
    CHECK(a.coefficient == 0.5 / (a.grad_norm + 1e-6));
    CHECK(fused.weights() == stored.weights());
  }
  CHECK(fused.weights() != before);
}

TEST_CASE("recomputing blocks changes no bit") {
  const auto train = [](Recompute recompute, std::int64_t kept_blocks) {
    Bench bench;
    TrainConfig c = config(OptimizerKind::lomo, 1.0);
    c.train.recompute = recompute;
    c.clip.kept_blocks = kept_blocks;
    Trainer trainer(bench.model, c, kConstant);
    for (int step = 0; step < 3; ++step) trainer.step(bench.batch);
    return bench.weights();
  };
  for (const std::int64_t kept_blocks : {0, 1, 2, 3}) {
    const auto kept = train(Recompute::none, kept_blocks);
    for (const std::int64_t blocks : {1, 2, 3}) {
      INFO("every " << blocks << " blocks, factors of " << kept_blocks);
      CHECK(train(Recompute{blocks}, kept_blocks) == kept);
      CHECK(train(Recompute{blocks, 1}, kept_blocks) == kept);
    }
  }
}

TEST_CASE(
    "a step that is not finite changes nothing, keeps its place in the schedule, and ends a run") {
  for (const auto kind :
       {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::sgd, OptimizerKind::adamw}) {
    Bench bench;
    Trainer trainer(bench.model, config(kind, 0), Schedule(ScheduleKind::linear, 0.1, 0.5, 10));
    trainer.step(bench.batch);
    bench.poison();
    const auto before = bench.weights();
    const StepReport skipped = trainer.step(bench.batch);
    CHECK(skipped.outcome == StepOutcome::nonfinite);
    CHECK(skipped.step == 1);
    CHECK(bench.weights() == before);
    CHECK(trainer.state().skipped == 1);
    const StepReport next = trainer.step(bench.batch);
    CHECK(next.lr == skipped.lr);
    try {
      trainer.step(bench.batch);
      FAIL("three skipped steps in a row must end the run");
    } catch (Error const& error) {
      CHECK(error.code() == Exit::diverged);
    }
    CHECK(bench.weights() == before);
  }
}

TEST_CASE("a batch without targets is skipped and is no sign of divergence") {
  Bench bench;
  Trainer trainer(bench.model, config(OptimizerKind::lomo, 0), kConstant);
  for (Sequence& s : bench.sequences) s.targets.assign(s.targets.size(), kNoTarget);
  const Batch empty = make_batch(bench.sequences);
  const auto before = bench.weights();
  for (int i = 0; i < 5; ++i) CHECK(trainer.step(empty).outcome == StepOutcome::no_targets);
  CHECK(bench.weights() == before);
  CHECK(trainer.state().skipped == 5);
  CHECK(trainer.step(bench.batch).outcome == StepOutcome::applied);
}

TEST_CASE("the one-pass step of gradient_check tile is the two-pass step when all is finite") {
  Bench one, two;
  TrainConfig tile = config(OptimizerKind::lomo, 0);
  tile.gradient_check = GradientCheck::tile;
  Trainer a(one.model, tile, kConstant);
  Trainer b(two.model, config(OptimizerKind::lomo, 0), kConstant);
  const StepReport ra = a.step(one.batch);
  const StepReport rb = b.step(two.batch);
  CHECK(one.weights() == two.weights());
  CHECK(ra.grad_norm == rb.grad_norm);
}

// A column of the up projection that reads a huge input through zero weights: the forward does not
// see it, the gradient of that column does. The gate's last rows are large and so is what comes
// back through them, so that only the tiles of those rows overflow f32.
TEST_CASE(
    "a gradient that overflows half-way: with a gradient check nothing changes, without one only "
    "what "
    "came before") {
  constexpr std::int64_t kColumn = 7, kFirstLarge = 30;
  const auto spoil = [](Bench& bench) {
    DecoderWeights& weights = bench.model.weights();
    BlockWeights& block = weights.blocks[1];
    Backend& be = *bench.backend;
    auto norm = test::values(be, block.norm2.weight.stacked());
    norm[kColumn] = 1e37;
    test::fill(be, block.norm2.weight.stacked(), norm);
    auto both = test::values(be, block.gate_up.weight.stacked());  // (2F,C)
    const std::int64_t f = 56, c = 40;
    for (std::int64_t row = 0; row < 2 * f; ++row) {
      const double boost = row % f < kFirstLarge ? 1 : row < f ? 1e6 : 1e-6;
      for (std::int64_t j = 0; j < c; ++j) {
        both[static_cast<std::size_t>(row * c + j)] *= j == kColumn ? 0 : boost;
      }
    }
    test::fill(be, block.gate_up.weight.stacked(), both);
  };
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::sgd, OptimizerKind::adamw}) {
    Bench bench;
    spoil(bench);
    Trainer trainer(bench.model, config(kind, 0), kConstant);
    const auto before = bench.weights();
    const StepReport report = trainer.step(bench.batch);
    CHECK(report.outcome == StepOutcome::nonfinite);
    CHECK(std::isfinite(report.loss));
    CHECK_FALSE(report.partial);
    CHECK(bench.weights() == before);
  }

  Bench bench;
  spoil(bench);
  TrainConfig tile = config(OptimizerKind::lomo, 0);
  tile.gradient_check = GradientCheck::tile;
  Trainer trainer(bench.model, tile, kConstant);
  std::map<std::string, std::vector<std::byte>> before;
  const auto each = [&bench](auto const& f) {
    for (auto* group : bench.model.weights().groups()) {
      for (auto const& p : group->members()) f(p.name, test::bits(*bench.backend, p.value));
    }
  };
  each([&](std::string const& name, std::vector<std::byte> bits) { before[name] = bits; });
  const StepReport report = trainer.step(bench.batch);
  CHECK(report.outcome == StepOutcome::nonfinite);
  REQUIRE(report.partial);
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  CHECK(report.partial->stopped_in == up);
  const std::set<std::string> updated(report.partial->updated.begin(),
                                      report.partial->updated.end());
  CHECK(updated.contains("lm_head.weight"));
  CHECK(updated.contains("model.layers.2.self_attn.q_proj.weight"));
  CHECK(updated.contains("model.layers.1.mlp.down_proj.weight"));
  CHECK_FALSE(updated.contains("model.layers.1.self_attn.o_proj.weight"));
  CHECK_FALSE(updated.contains("model.embed_tokens.weight"));
  each([&](std::string const& name, std::vector<std::byte> const& bits) {
    INFO(name);
    if (name != up) CHECK((bits != before[name]) == updated.contains(name));
  });
  // Of the bad tensor, the tiles before the bad one are applied and no row after them is.
  const std::size_t row_bytes = 40 * sizeof(float), tile_rows = 4096 / row_bytes;
  const auto after =
      test::bits(*bench.backend, bench.model.weights().blocks[1].gate_up.weight.members()[1].value);
  const auto same = [&](std::size_t first, std::size_t rows) {
    return std::equal(after.begin() + static_cast<std::ptrdiff_t>(first * row_bytes),
                      after.begin() + static_cast<std::ptrdiff_t>((first + rows) * row_bytes),
                      before[up].begin() + static_cast<std::ptrdiff_t>(first * row_bytes));
  };
  CHECK_FALSE(same(0, tile_rows));
  CHECK(same(tile_rows, 56 - tile_rows));
  CHECK(test::contains(describe(*report.partial), up));

  // AdaLomo holds a whole tensor, and looks at all of it before its statistics change.
  Bench whole;
  spoil(whole);
  tile.optimizer.kind = OptimizerKind::adalomo;
  Trainer adaptive(whole.model, tile, kConstant);
  const StepReport half = adaptive.step(whole.batch);
  REQUIRE(half.partial);
  CHECK(half.partial->stopped_in == up);
  const std::set<std::string> taken(half.partial->updated.begin(), half.partial->updated.end());
  CHECK(taken.contains("model.layers.1.mlp.down_proj.weight"));
  for (StoredTensor const& state : adaptive.rule().state()) {
    INFO(state.name);
    bool changed = false;  // from the zeros of the start
    for (const double v : test::values(*whole.backend, state.value)) changed |= v != 0;
    CHECK(changed == taken.contains(state.name.substr(0, state.name.rfind('.'))));
  }

  tile.optimizer.kind = OptimizerKind::lomo;
  tile.train.stop_after_skips = 1;
  Bench again;
  spoil(again);
  Trainer strict(again.model, tile, kConstant);
  const std::string ended = test::error_of(Exit::diverged, [&] { strict.step(again.batch); });
  CHECK(test::contains(ended, "already updated"));
  CHECK(test::contains(ended, up));
}

TEST_CASE("a 16-bit run measures its rounding every few steps and an f32 run does not") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    Bench bench(dtype);
    TrainConfig c = config(OptimizerKind::lomo, 0);
    c.metrics.rounding_every = 3;
    c.optimizer.rounding = Rounding::stochastic;
    Trainer trainer(bench.model, c, kConstant);
    for (int step = 0; step < 7; ++step) {
      const StepReport report = trainer.step(bench.batch);
      CHECK(report.outcome == StepOutcome::applied);
      REQUIRE(report.rounding.has_value() == (dtype != DType::f32 && step % 3 == 0));
      if (!report.rounding) continue;
      CHECK(report.rounding->changed > 0);
      CHECK(report.rounding->changed <= 1);
      CHECK(report.rounding->realised == Approx(1).epsilon(0.2));
    }
  }
}

TEST_CASE("scores do not depend on how sequences are batched, beyond rounding") {
  Bench bench;
  const std::vector<SequenceView> views(bench.sequences.begin(), bench.sequences.end());
  const auto whole = score_sequences(bench.model, views, 1000);
  const auto single = score_sequences(bench.model, views, 1);
  REQUIRE(whole.size() == 3);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CHECK(whole[i].targets == single[i].targets);
    // A row's products may be blocked differently: relative error of a few hundred f32 roundings.
    constexpr double kTolerance = 300 * 6e-8;
    CHECK(std::abs(whole[i].loss - single[i].loss) <= kTolerance * whole[i].loss);
  }
}
