// What clip.strategy settles to, and that steps taken either way agree.
#include "lomo/train/clip_plan.h"

#include <cmath>
#include <memory>

#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;

namespace {

std::unique_ptr<Backend> dry() {
  return make_dry_backend({.threads = 1});
}

TrainConfig config_of(ClipStrategy strategy) {
  TrainConfig c;
  c.optimizer.lr = 0.1;
  c.optimizer.rounding = Rounding::nearest;
  c.model.dtype = DType::f32;
  c.clip.norm = 0.5;
  c.clip.strategy = strategy;
  c.memory.tile_bytes = 4096;
  return c;
}

PlannedBatches batches() {
  PlannedBatches planned;
  // Large enough to need more than the probe of the machine's rate does.
  planned.train.push_back(make_batch(test::random_sequences({9000, 4000}, 2, 101, 3)));
  return planned;
}

std::size_t slab_of(std::int64_t kept) {
  TrainConfig config = config_of(ClipStrategy::automatic);
  config.clip.kept_blocks = kept;
  return planned_work(config, test::tiny_config(false), batches(), dry).slab;
}

std::int64_t settled(ClipStrategy strategy, std::size_t budget) {
  TrainConfig config = config_of(strategy);
  config.memory.budget = budget;
  settle_clip(config, test::tiny_config(false), batches(), dry);
  return *config.clip.kept_blocks;
}

}  // namespace

TEST_CASE("auto keeps the blocks there is room for") {
  REQUIRE(slab_of(0) < slab_of(1));
  REQUIRE(slab_of(1) < slab_of(2));
  for (std::int64_t kept = 0; kept <= 3; ++kept) {
    CHECK(settled(ClipStrategy::automatic, slab_of(kept)) == kept);
  }
  CHECK(settled(ClipStrategy::automatic, slab_of(2) - 1) == 1);
  CHECK(settled(ClipStrategy::automatic, 1) == 0);
  CHECK(settled(ClipStrategy::automatic, 0) == 0);  // no budget
  CHECK(settled(ClipStrategy::one_pass, 1) == 3);
  CHECK(settled(ClipStrategy::two_pass, std::size_t{1} << 40) == 0);
}

TEST_CASE("what was settled stays, whatever the budget is later") {
  TrainConfig config = config_of(ClipStrategy::automatic);
  config.clip.kept_blocks = 1;
  config.memory.budget = std::size_t{1} << 40;
  settle_clip(config, test::tiny_config(false), batches(), dry);
  CHECK(*config.clip.kept_blocks == 1);
}

TEST_CASE("a run without a verdict keeps nothing") {
  TrainConfig config = config_of(ClipStrategy::one_pass);
  config.clip.norm = 0;
  config.protect = Protect::tile;
  settle_clip(config, test::tiny_config(false), batches(), dry);
  CHECK(*config.clip.kept_blocks == 0);
}

TEST_CASE("steps from kept factors are those of two passes but for the norm's last digits") {
  const std::int64_t kept = GENERATE(1, 3);
  auto first = test::make_cpu(1), second = test::make_cpu(1);
  Llama a(*first, test::tiny_config(true), DType::f32),
      b(*second, test::tiny_config(true), DType::f32);
  test::fill_weights(a, 1);
  test::fill_weights(b, 1);
  const Schedule schedule(ScheduleKind::constant, 0.1, 0, 10);
  TrainConfig keeping = config_of(ClipStrategy::automatic);
  keeping.clip.kept_blocks = kept;
  Trainer one(a, keeping, schedule);
  Trainer two(b, config_of(ClipStrategy::automatic), schedule);
  const Batch batch = make_batch(test::random_sequences({9, 4, 13}, 2, 101, 3));
  const StepReport x = one.step(batch), y = two.step(batch);
  REQUIRE(y.coefficient < 1);
  CHECK(x.grad_norm == Approx(y.grad_norm).epsilon(4 * std::sqrt(202.0) * 0x1p-24));
  for (std::size_t g = 0; g < a.weights().groups().size(); ++g) {
    const auto wa = test::raw_values<float>(*first, a.weights().groups()[g]->stacked());
    const auto wb = test::raw_values<float>(*second, b.weights().groups()[g]->stacked());
    CHECK(test::relative_distance(wa, wb) < 1e-6);  // a few f32 roundings of each weight
  }
}
