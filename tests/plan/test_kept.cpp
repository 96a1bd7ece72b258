// What clip.strategy resolves to, and that steps taken either way agree.
#include "lomo/plan/kept.h"

#include <cmath>
#include <memory>

#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;

namespace {

std::unique_ptr<Backend> one_thread() {
  return make_dry_backend({.threads = 1});
}

TrainConfig clipped(ClipStrategy strategy) {
  TrainConfig c;
  c.optimizer.lr = 0.1;
  c.optimizer.rounding = Rounding::nearest;
  c.model.dtype = DType::f32;
  c.clip.norm = 0.5;
  c.clip.strategy = strategy;
  c.memory.tile_bytes = 4096;
  c.train.recompute = Recompute::block;
  return c;
}

PlannedBatches batches() {
  PlannedBatches planned;
  // Large enough to need more than the probe of the machine's rate does.
  planned.train.push_back(make_batch(test::random_sequences({9000, 4000}, 2, 101, 3)));
  return planned;
}

std::size_t slab_of(std::int64_t kept) {
  TrainConfig config = clipped(ClipStrategy::automatic);
  config.clip.kept_blocks = kept;
  return planned_work(config, test::tiny_config(false), batches(), one_thread).slab;
}

std::int64_t resolved(ClipStrategy strategy, std::size_t budget) {
  TrainConfig config = clipped(strategy);
  config.memory.budget = budget;
  resolve_kept(config, test::tiny_config(false), batches(), one_thread);
  return *config.clip.kept_blocks;
}

}  // namespace

TEST_CASE("auto keeps the blocks there is room for") {
  REQUIRE(slab_of(0) < slab_of(1));
  REQUIRE(slab_of(1) < slab_of(2));
  for (std::int64_t kept = 0; kept <= 3; ++kept) {
    CHECK(resolved(ClipStrategy::automatic, slab_of(kept)) == kept);
  }
  CHECK(resolved(ClipStrategy::automatic, slab_of(2) - 1) == 1);
  CHECK(resolved(ClipStrategy::automatic, 1) == 0);
  CHECK(resolved(ClipStrategy::automatic, 0) == 0);  // no budget
  CHECK(resolved(ClipStrategy::one_pass, 1) == 3);
  CHECK(resolved(ClipStrategy::two_pass, std::size_t{1} << 40) == 0);
}

TEST_CASE("auto keeps activations and factors, as many of both as save most") {
  const auto slab = [](TrainConfig const& config) {
    return planned_work(config, test::tiny_config(false), batches(), one_thread).slab;
  };
  const auto resolved = [](std::size_t budget, double norm) {
    TrainConfig config = clipped(ClipStrategy::automatic);
    config.train.recompute.reset();
    config.clip.norm = norm;
    if (norm == 0) config.gradient_check = GradientCheck::tile;
    config.memory.budget = budget;
    resolve_kept(config, test::tiny_config(false), batches(), one_thread);
    REQUIRE(config.train.recompute);
    REQUIRE(config.clip.kept_blocks);
    return config;
  };
  for (const double norm : {0.0, 0.5}) {
    const TrainConfig least = resolved(1, norm), most = resolved(std::size_t{1} << 40, norm);
    CHECK(*least.train.recompute == Recompute::block);
    CHECK(*resolved(0, norm).train.recompute == Recompute::block);  // no budget
    CHECK(most.train.recompute->upper == 3);
    CHECK(*most.clip.kept_blocks == (norm > 0 ? 3 : 0));
    const std::size_t from = slab(least), to = slab(most);
    REQUIRE(from < to);
    std::int64_t before = 0;
    for (int part = 0; part <= 8; ++part) {
      const std::size_t budget = from + (to - from) * static_cast<std::size_t>(part) / 8;
      const TrainConfig config = resolved(budget, norm);
      INFO("budget " << budget << " of " << from << " to " << to);
      CHECK(slab(config) <= budget);
      const std::int64_t kept = config.train.recompute->upper + *config.clip.kept_blocks;
      CHECK(kept >= before);
      before = kept;
    }
    CHECK(before == (norm > 0 ? 6 : 3));
  }
}

TEST_CASE("what the user sets is kept, and the rest is chosen around it") {
  TrainConfig config = clipped(ClipStrategy::two_pass);
  config.train.recompute.reset();
  config.memory.budget = std::size_t{1} << 40;
  resolve_kept(config, test::tiny_config(false), batches(), one_thread);
  CHECK(config.train.recompute->upper == 3);
  CHECK(*config.clip.kept_blocks == 0);
  config = clipped(ClipStrategy::automatic);
  config.train.recompute = Recompute{2, 70};  // more than there are
  config.memory.budget = std::size_t{1} << 40;
  resolve_kept(config, test::tiny_config(false), batches(), one_thread);
  CHECK(*config.train.recompute == Recompute{2, 3});
  CHECK(*config.clip.kept_blocks == 3);
}

TEST_CASE("what was resolved stays, whatever the budget is later") {
  TrainConfig config = clipped(ClipStrategy::automatic);
  config.clip.kept_blocks = 1;
  config.memory.budget = std::size_t{1} << 40;
  resolve_kept(config, test::tiny_config(false), batches(), one_thread);
  CHECK(*config.clip.kept_blocks == 1);
}

TEST_CASE("a run without a gradient check keeps nothing") {
  TrainConfig config = clipped(ClipStrategy::one_pass);
  config.clip.norm = 0;
  config.gradient_check = GradientCheck::tile;
  resolve_kept(config, test::tiny_config(false), batches(), one_thread);
  CHECK(*config.clip.kept_blocks == 0);
}

TEST_CASE("one pass, two passes and a stored gradient clip alike but for the norm's last digits") {
  const bool tied = GENERATE(false, true);
  const double value = GENERATE(0.0, 0.02);
  struct Run {
    std::unique_ptr<Backend> backend = test::make_cpu(1);
    std::unique_ptr<Decoder> model;
    StepReport report;
    std::vector<float> weights;
  };
  const auto step = [&](OptimizerKind kind, std::int64_t kept) {
    Run run;
    run.model = std::make_unique<Decoder>(*run.backend, test::tiny_config(tied), DType::f32);
    test::fill_weights(*run.model, 1);
    TrainConfig config = clipped(ClipStrategy::automatic);
    config.optimizer.kind = kind;
    config.clip.value = value;
    config.clip.kept_blocks = kept;
    Trainer trainer(*run.model, config, Schedule(ScheduleKind::constant, 0.1, 0, 10));
    run.report = trainer.step(make_batch(test::random_sequences({9, 4, 13}, 2, 101, 3)));
    for (auto* group : run.model->weights().groups()) {
      const auto w = test::raw_values<float>(*run.backend, group->stacked());
      run.weights.insert(run.weights.end(), w.begin(), w.end());
    }
    return run;
  };
  const Run stored = step(OptimizerKind::sgd, 0);
  REQUIRE(stored.report.coefficient < 1);
  // The norms differ by Gram sums of at most 202 products in f32, a random walk, four times for
  // safety; the steps by as much, and by the rounding of the weight.
  const double kNorm = 4 * std::sqrt(202.0) * 0x1p-24;
  for (const std::int64_t kept : {0, 1, 2, 3}) {
    INFO(kept << " blocks kept");
    const Run fused = step(OptimizerKind::lomo, kept);
    CHECK(fused.report.grad_norm == Approx(stored.report.grad_norm).epsilon(kNorm));
    CHECK(fused.report.coefficient == Approx(stored.report.coefficient).epsilon(kNorm));
    // |step| <= lr clip.norm = 0.05 in the 2-norm, whatever clip.value cuts off.
    const double norm = test::norm(stored.weights);
    CHECK(test::relative_distance(fused.weights, stored.weights) <= kNorm * 0.05 / norm + 0x1p-24);
  }
}
