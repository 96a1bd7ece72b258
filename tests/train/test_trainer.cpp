#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/train/scoring.h"
#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;

namespace {

/// A tiny model on an engine of its own, and one batch for it.
struct Bench {
  std::unique_ptr<Backend> backend = test::make_cpu(1);
  Llama model{*backend, test::tiny_config(false), DType::f32};
  std::vector<Sequence> sequences = test::random_sequences({9, 4, 13}, 2, 101, 3);
  Batch batch = make_batch(sequences);
  Bench() { test::fill_weights(model, 1); }

  std::vector<std::vector<std::byte>> weights() { return test::weight_bits(model); }

  /// Makes every loss of the model a NaN.
  void poison() {
    const std::vector<float> nan(101 * 40, std::numeric_limits<float>::quiet_NaN());
    backend->upload(model.weights().head().stacked(), std::as_bytes(std::span(nan)));
  }
};

TrainConfig config(OptimizerKind kind, double clip) {
  TrainConfig c;
  c.optimizer.name = kind;
  c.optimizer.lr = 0.1;
  c.optimizer.rounding = Rounding::nearest;
  c.clip.norm = clip;
  c.train.stop_after_skips = 3;
  c.memory.tile_bytes = 4096;  // several tiles a matrix
  return c;
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
  Bench kept, again;
  TrainConfig none = config(OptimizerKind::lomo, 1.0);
  none.train.recompute = Recompute::none;
  Trainer a(kept.model, none, kConstant);
  Trainer b(again.model, config(OptimizerKind::lomo, 1.0), kConstant);
  for (int step = 0; step < 3; ++step) {
    a.step(kept.batch);
    b.step(again.batch);
  }
  CHECK(kept.weights() == again.weights());
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

TEST_CASE("the one-pass step of protect tile is the two-pass step when all is finite") {
  Bench one, two;
  TrainConfig tile = config(OptimizerKind::lomo, 0);
  tile.protect = Protect::tile;
  Trainer a(one.model, tile, kConstant);
  Trainer b(two.model, config(OptimizerKind::lomo, 0), kConstant);
  const StepReport ra = a.step(one.batch);
  const StepReport rb = b.step(two.batch);
  CHECK(one.weights() == two.weights());
  CHECK(ra.grad_norm == rb.grad_norm);
}

TEST_CASE("scores do not depend on how sequences are batched, beyond rounding") {
  Bench bench;
  const auto whole = score_sequences(bench.model, bench.sequences, 1000);
  const auto single = score_sequences(bench.model, bench.sequences, 1);
  REQUIRE(whole.size() == 3);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CHECK(whole[i].targets == single[i].targets);
    // A row's products may be blocked differently: relative error of a few hundred f32 roundings.
    constexpr double kTolerance = 300 * 6e-8;
    CHECK(std::abs(whole[i].loss - single[i].loss) <= kTolerance * whole[i].loss);
  }
}
