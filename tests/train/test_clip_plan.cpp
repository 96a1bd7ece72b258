// What clip.strategy settles to, and that steps taken either way agree.
#include "lomo/train/clip_plan.h"

#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;

namespace {

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

std::int64_t settled(ClipStrategy strategy, std::size_t room_for) {
  TrainConfig config = config_of(strategy);
  const ModelConfig model = test::tiny_config(false);
  StepSizes sizes{100, 60, 0, 1000};
  sizes.capacity = sizes.held + step_bytes(model, config, sizes) +
                   room_for * factor_bytes(model, DType::f32, sizes.rows);
  settle_clip(config, model, sizes);
  return *config.clip.kept_blocks;
}

}  // namespace

TEST_CASE("auto keeps the blocks there is room for") {
  CHECK(settled(ClipStrategy::automatic, 0) == 0);
  CHECK(settled(ClipStrategy::automatic, 2) == 2);
  CHECK(settled(ClipStrategy::automatic, 100) == 3);
  CHECK(settled(ClipStrategy::one_pass, 0) == 3);
  CHECK(settled(ClipStrategy::two_pass, 100) == 0);
}

TEST_CASE("what was settled stays, whatever memory is free later") {
  TrainConfig config = config_of(ClipStrategy::automatic);
  config.clip.kept_blocks = 1;
  settle_clip(config, test::tiny_config(false), {100, 60, std::size_t{1} << 40, 0});
  CHECK(*config.clip.kept_blocks == 1);
}

TEST_CASE("a step needs no more than the plan says") {
  const Recompute recompute = GENERATE(Recompute::none, Recompute::block);
  const std::size_t prompt = GENERATE(1u, 12u);
  const std::int64_t kept = GENERATE(0, 1, 2, 3);
  auto backend = test::make_cpu(1);
  ModelConfig shape = test::tiny_config(false);
  shape.width = 160;
  shape.head_width = 40;
  shape.ffn = 400;
  shape.vocab = 3000;
  TrainConfig config = config_of(ClipStrategy::automatic);
  config.train.recompute = recompute;
  config.memory.keep_logits_bytes = 0;
  config.memory.head_block_rows = 500;
  Llama model(*backend, shape, DType::f32, HeadOptions{500, 0});
  test::fill_weights(model, 1);
  const Batch batch = make_batch(test::random_sequences({700, 500, 800}, prompt, shape.vocab, 3));
  Trainer trainer(model, config, Schedule(ScheduleKind::constant, 0.1, 0, 10));
  trainer.keep_blocks(kept);
  const StepSizes sizes{batch.rows(), batch.loss_count(), 0, backend->ledger().current()};
  backend->ledger().restart();
  trainer.step(batch);
  const std::size_t used = backend->ledger().peak() - sizes.held;
  const std::size_t bound = step_bytes(shape, config, sizes) +
                            static_cast<std::size_t>(kept) * factor_bytes(shape, DType::f32, 2000);
  CHECK(used <= bound);
  CHECK(used > bound / 3);  // and the plan is no wild guess
}

TEST_CASE("steps from kept factors are those of two passes but for the norm's last digits") {
  const std::int64_t kept = GENERATE(1, 3);
  auto first = test::make_cpu(1), second = test::make_cpu(1);
  Llama a(*first, test::tiny_config(true), DType::f32),
      b(*second, test::tiny_config(true), DType::f32);
  test::fill_weights(a, 1);
  test::fill_weights(b, 1);
  const Schedule schedule(ScheduleKind::constant, 0.1, 0, 10);
  Trainer one(a, config_of(ClipStrategy::automatic), schedule);
  Trainer two(b, config_of(ClipStrategy::automatic), schedule);
  one.keep_blocks(kept);
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
