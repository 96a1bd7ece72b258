#include "lomo/core/error.h"
#include "planned.h"

using namespace lomo;
using namespace lomo::test;

namespace {

void check_on_cpu(TrainConfig const& config, ModelConfig const& shape,
                  PlannedBatches const& batches, int threads) {
  const EngineOptions options{.threads = threads, .memory = std::size_t{1} << 28};
  check_same(config, shape, batches, *make_cpu_backend(options), {.threads = threads});
}

}  // namespace

TEST_CASE("a plan is the real run's peak to the byte, by category, with its gaps and its flops") {
  for (const auto kind :
       {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::sgd, OptimizerKind::adamw}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      for (const auto recompute : {Recompute::none, Recompute::block}) {
        for (const bool tied : {false, true}) {
          for (const int threads : {1, 2}) {
            TrainConfig config = config_of(kind, dtype);
            config.train.recompute = recompute;
            config.clip.norm = tied ? 1.0 : 0.0;
            config.protect = tied || dtype == DType::f16 ? Protect::step : Protect::tile;
            INFO(to_string(kind) << ' ' << to_string(dtype) << " recompute "
                                 << static_cast<int>(recompute) << " tied " << tied << " threads "
                                 << threads);
            check_on_cpu(config, test::tiny_config(tied), batches_of({40, 9, 33}), threads);
          }
        }
      }
    }
  }
}

TEST_CASE("a plan follows the factors that are kept, and norms from Gram matrices") {
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      for (const auto recompute : {Recompute::none, Recompute::block}) {
        for (const bool tied : {false, true}) {
          for (const std::int64_t kept : {0, 1, 2, 3}) {
            TrainConfig config = config_of(kind, dtype);
            config.train.recompute = recompute;
            config.clip.norm = 1;
            config.clip.kept_blocks = kept;
            config.memory.keep_logits_bytes = kept % 2 == 0 ? 0 : 1 << 20;
            ModelConfig shape = test::tiny_config(tied);
            shape.ffn = 200;  // wide for the rows of the batch, so that Gram matrices are cheaper
            INFO(to_string(kind) << ' ' << to_string(dtype) << " recompute "
                                 << static_cast<int>(recompute) << " tied " << tied << " kept "
                                 << kept);
            check_on_cpu(config, shape, batches_of({9, 5}), 2);
          }
        }
      }
    }
  }
}

TEST_CASE("a plan follows tiles, head blocks, kept logits and heads") {
  for (const std::size_t tile : {std::size_t{512}, std::size_t{4096}, std::size_t{1} << 23}) {
    for (const std::int64_t block : {7, 4096}) {
      for (const std::size_t kept : {std::size_t{0}, std::size_t{1} << 26}) {
        for (const std::int64_t kv_heads : {1, 4}) {
          TrainConfig config = config_of(OptimizerKind::lomo, DType::bf16);
          config.memory = {.tile_bytes = tile, .head_block_rows = block, .keep_logits_bytes = kept};
          ModelConfig shape = test::tiny_config(false);
          shape.kv_heads = kv_heads;
          INFO("tile " << tile << " block " << block << " kept " << kept << " heads " << kv_heads);
          check_on_cpu(config, shape, batches_of({120, 64}), 2);
        }
      }
    }
  }
}

TEST_CASE("an engine with the planned slab and not a byte more runs the plan") {
  const TrainConfig config = config_of(OptimizerKind::lomo, DType::f32);
  const ModelConfig shape = test::tiny_config(false);
  const PlannedBatches batches = batches_of({50, 20, 70});
  const Plan plan =
      make_plan(config, shape, batches, [] { return make_dry_backend({.threads = 1}); });
  const auto run = [&](std::size_t memory) {
    make_plan(config, shape, batches,
              [&] { return make_dry_backend({.threads = 1, .memory = memory}); });
  };
  CHECK_NOTHROW(run(plan.slab));
  CHECK_THROWS_AS(run(plan.slab - Slab::kAlignment), Error);
}

TEST_CASE("counts make the batch they say") {
  for (const BatchCounts counts :
       {BatchCounts{17, 5, 3, 4}, BatchCounts{8, 8, 8, 8}, BatchCounts{100, 99, 7, 1}}) {
    CHECK(counts_of(batch_with(counts)) == counts);
  }
  CHECK_THROWS_AS(batch_with({10, 11, 1, 1}), Error);
  CHECK_THROWS_AS(batch_with({10, 1, 11, 1}), Error);
  CHECK_THROWS_AS(batch_with({0, 0, 1, 1}), Error);
}
