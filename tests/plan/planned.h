#pragma once
// A plan, and what the run that it is of leaves accounted for of an engine.
#include <memory>
#include <string>
#include <vector>

#include "lomo/plan/plan.h"
#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

namespace lomo::test {

inline TrainConfig config_of(OptimizerKind kind, DType dtype) {
  TrainConfig c;
  c.model.dtype = dtype;
  c.optimizer.kind = kind;
  c.optimizer.lr = 1e-3;
  c.optimizer.momentum = kind == OptimizerKind::sgd ? 0.5 : 0;
  c.optimizer.rounding = Rounding::nearest;
  c.loss_scale.initial = 1;      // f16: no overflow on the first step
  c.metrics.rounding_every = 1;  // a plan assumes that every step is looked at
  return c;
}

/// What a real run of the planned batches leaves accounted for of an engine.
struct Measured {
  std::size_t peak = 0, extent = 0;  // the extent of both ways to find norms
  CategoryBytes at_peak{}, maximum{};
  double flops = 0;  // of the last step
};

inline Measured measure(TrainConfig const& config, ModelConfig const& shape,
                        PlannedBatches const& batches, Backend& engine) {
  {  // what measure_gemm_peak holds
    const Shape square(1024, 1024);
    const DType type = *config.model.dtype;
    const Buffer x = engine.allocate(square, type, Category::workspace, "x");
    const Buffer w = engine.allocate(square, type, Category::workspace, "w");
    const Buffer y = engine.allocate(square, type, Category::workspace, "y");
    engine.zero(x);
    engine.zero(w);
    engine.linear(y, x, w);
  }
  Decoder model(engine, shape, *config.model.dtype,
                {config.memory.head_block_rows, config.memory.keep_logits_bytes});
  test::fill_weights(model, 1);
  Trainer trainer(model, config, Schedule(ScheduleKind::constant, 1e-3, 0, 10));
  Ledger& ledger = engine.ledger();
  ledger.restart();
  for (ShardedBatch const& batch : batches.eval) model.losses(batch);
  double before = 0;
  for (ShardedBatch const& batch : batches.train) {
    before = ledger.flops();
    REQUIRE(trainer.step(batch).outcome == StepOutcome::applied);
  }
  Measured real{ledger.peak(), ledger.extent(), ledger.at_peak(), ledger.peak_by_category(),
                ledger.flops() - before};
  trainer.find_norms_by(NormMethod::tiles);  // as if no cheaper norm could be trusted
  for (ShardedBatch const& batch : batches.train) trainer.step(batch);
  real.extent = ledger.extent();
  return real;
}

inline PlannedBatches batches_of(std::vector<int> const& lengths) {
  PlannedBatches batches;
  batches.eval.push_back(make_batch(test::random_sequences({30, 17}, 4, 101, 5)));
  batches.train.push_back(make_batch(test::random_sequences({3, 8}, 1, 101, 4)));
  batches.train.push_back(make_batch(test::random_sequences(lengths, 2, 101, 3)));
  return batches;
}

/// `accounting` are those of `engine`.
inline void check_same(TrainConfig const& config, ModelConfig const& shape,
                       PlannedBatches const& batches, Backend& engine,
                       EngineOptions const& accounting) {
  const Plan plan = make_plan(config, shape, batches, [&] { return make_dry_backend(accounting); });
  const Measured real = measure(config, shape, batches, engine);
  CHECK(plan.peak == real.peak);
  CHECK(plan.at_peak == real.at_peak);
  CHECK(plan.maximum == real.maximum);
  CHECK(plan.slab == real.extent);
  CHECK(plan.flops == real.flops);
  std::size_t named = 0;
  for (PlannedBlock const& block : plan.blocks) named += block.bytes;
  CHECK(named == plan.peak);
}

}  // namespace lomo::test
