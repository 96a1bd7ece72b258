#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/train/loss_scale.h"
#include "support/errors.h"
#include "train/bench.h"

using namespace lomo;

namespace {

const Schedule kLinear(ScheduleKind::linear, 0.1, 0, 20);

TrainConfig f16_config(OptimizerKind kind, double initial) {
  TrainConfig config = test::bench_config(kind, 0);
  config.loss_scale.initial = initial;
  return config;
}

/// Weights and optimizer state.
std::vector<std::vector<std::byte>> everything(test::Bench& bench, Trainer& trainer) {
  auto all = bench.weights();
  for (StoredTensor const& tensor : trainer.rule().state()) {
    all.push_back(test::bits(*bench.backend, tensor.value));
  }
  return all;
}

}  // namespace

TEST_CASE("the loss scale doubles after a window of clean steps and halves at an overflow") {
  LossScaleSection section;
  section.initial = 64;
  section.minimum = 16;
  section.window = 3;
  LossScaler scaler(section, DType::f16);
  CHECK(scaler.scale() == 64);
  for (int i = 0; i < 2; ++i) scaler.succeed();
  CHECK(scaler.scale() == 64);
  scaler.succeed();
  CHECK(scaler.scale() == 128);
  CHECK(scaler.unscale() == 1.0f / 128);
  scaler.succeed();
  scaler.succeed();
  scaler.overflow();  // the window starts again
  CHECK(scaler.scale() == 64);
  scaler.succeed();
  CHECK(scaler.scale() == 64);
  LossScaler other(section, DType::f16);
  other.restore(scaler.state());
  for (LossScaler* s : {&scaler, &other}) {
    s->succeed();
    s->succeed();
    CHECK(s->scale() == 128);
  }
  CHECK(scaler.state() == other.state());
  for (int i = 0; i < 3; ++i) scaler.overflow();
  CHECK(scaler.scale() == 16);
  const std::string message = test::error_of(Exit::diverged, [&] { scaler.overflow(); });
  CHECK(test::contains(message, "loss_scale.minimum"));
}

TEST_CASE("a scale without a window only falls, as the published code has it") {
  LossScaleSection section;
  section.initial = 64;
  section.window = 0;
  LossScaler scaler(section, DType::f16);
  for (int i = 0; i < 3000; ++i) scaler.succeed();
  CHECK(scaler.scale() == 64);
  scaler.overflow();
  for (int i = 0; i < 3000; ++i) scaler.succeed();
  CHECK(scaler.scale() == 32);
}

TEST_CASE("other precisions do not scale their loss") {
  LossScaler scaler({}, DType::bf16);
  for (int i = 0; i < 2000; ++i) scaler.succeed();
  CHECK(scaler.scale() == 1);
}

TEST_CASE("an fp16 step that overflows leaves every bit and its place in the schedule") {
  const std::int64_t kept = GENERATE(0, 1, 3);  // blocks whose factors wait for the gradient check
  for (const auto kind :
       {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::sgd, OptimizerKind::adamw}) {
    test::Bench bench(DType::f16);
    TrainConfig config = f16_config(kind, 0x1p30);
    config.clip.kept_blocks = kept;
    config.optimizer.momentum = kind == OptimizerKind::sgd ? 0.9 : 0;
    Trainer trainer(bench.model, config, kLinear);
    const auto before = everything(bench, trainer);
    StepReport report = trainer.step(bench.batch);
    int overflows = 0;
    const double first_rate = report.lr;
    for (; report.outcome == StepOutcome::overflow; report = trainer.step(bench.batch)) {
      ++overflows;
      CHECK(std::isnan(report.grad_norm));
      CHECK(report.lr == first_rate);
      CHECK(everything(bench, trainer) == before);
      CHECK(trainer.state().loss_scale.scale == report.loss_scale / 2);
      REQUIRE(overflows < 30);
    }
    CHECK(overflows > 3);  // more than train.stop_after_skips, which does not count them
    CHECK(report.outcome == StepOutcome::applied);
    CHECK(report.step == 1);
    CHECK(report.lr == first_rate);
    CHECK(trainer.state().skipped == overflows);
    CHECK(trainer.state().loss_scale.overflows == overflows);
    CHECK(everything(bench, trainer) != before);
  }
}

TEST_CASE("skipped fp16 steps may consume the schedule, as the published code has it") {
  test::Bench bench(DType::f16);
  TrainConfig config = f16_config(OptimizerKind::lomo, 0x1p30);
  config.loss_scale.skip_consumes_schedule = true;
  Trainer trainer(bench.model, config, kLinear);
  for (int i = 1; i <= 3; ++i) {
    const StepReport report = trainer.step(bench.batch);
    CHECK(report.outcome == StepOutcome::overflow);
    CHECK(report.lr == kLinear.at(i));
  }
}

TEST_CASE("an overflow at the smallest scale ends the run") {
  test::Bench bench(DType::f16);
  TrainConfig config = f16_config(OptimizerKind::lomo, 0x1p30);
  config.loss_scale.minimum = 0x1p30;
  Trainer trainer(bench.model, config, kLinear);
  const auto before = bench.weights();
  test::error_of(Exit::diverged, [&] { trainer.step(bench.batch); });
  CHECK(bench.weights() == before);
}

TEST_CASE("fp16 without a gradient check is refused") {
  test::Bench bench(DType::f16);
  TrainConfig config = f16_config(OptimizerKind::lomo, 65536);
  config.gradient_check = GradientCheck::tile;
  test::error_of(Exit::usage, [&] { Trainer(bench.model, config, kLinear); });
}

TEST_CASE("the loss scale changes gradients by fp16 rounding only") {
  // Powers of two scale exactly, so scales differ only in what is subnormal or lost in fp16.
  std::optional<double> norm;
  for (const double scale : {256.0, 1024.0, 4096.0}) {
    test::Bench bench(DType::f16);
    Trainer trainer(bench.model, f16_config(OptimizerKind::lomo, scale), kLinear);
    const StepReport report = trainer.step(bench.batch);
    REQUIRE(report.outcome == StepOutcome::applied);
    if (!norm) norm = report.grad_norm;
    CHECK(report.grad_norm == Approx(*norm).epsilon(1e-3));
  }
  test::Bench exact(DType::f32);
  Trainer trainer(exact.model, f16_config(OptimizerKind::lomo, 256), kLinear);
  // A few dozen fp16 roundings of relative size 2^-11 lie between the two gradients.
  CHECK(trainer.step(exact.batch).grad_norm == Approx(*norm).epsilon(30 * 0x1p-11));
}

TEST_CASE("a step that overflows in its last tensor only changes nothing") {
  // Tiny embeddings make the norm's backward multiply by up to 1 / sqrt(eps) = 316, after
  // everything above it is done: at some scale that product alone leaves fp16.
  const auto shrink = [](test::Bench& bench) {
    bench.scale(bench.model.weights().embedding, 1e-4f);
  };
  test::Bench probe(DType::f16);
  shrink(probe);
  std::optional<double> found;
  for (double scale = 64; scale < 0x1p26 && !found; scale *= 2) {
    Pass pass = probe.model.forward(probe.batch, Recompute::block);
    KeepGradients gradients({*probe.backend, TileSize{}}, probe.model.weights().groups());
    probe.model.backward(pass, gradients,
                         static_cast<float>(scale) / static_cast<float>(pass.loss_rows), false);
    std::vector<std::string> bad;
    for (auto* group : probe.model.weights().groups()) {
      for (auto const& parameter : group->members()) {
        for (const double g : test::values(*probe.backend, gradients.gradient(parameter))) {
          if (std::isfinite(g)) continue;
          bad.push_back(parameter.name);
          break;
        }
      }
    }
    if (bad == std::vector<std::string>{"model.embed_tokens.weight"}) found = scale;
    if (!bad.empty()) break;
  }
  REQUIRE(found);
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::adamw}) {
    for (const std::int64_t kept : {0, 1, 3}) {
      test::Bench bench(DType::f16);
      shrink(bench);
      TrainConfig config = f16_config(kind, *found);
      config.clip.kept_blocks = kept;
      Trainer trainer(bench.model, config, kLinear);
      const auto before = everything(bench, trainer);
      CHECK(trainer.step(bench.batch).outcome == StepOutcome::overflow);
      CHECK(everything(bench, trainer) == before);
    }
  }
}
