#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/train/plan.h"
#include "lomo/train/plan_report.h"
#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"
#include "support/errors.h"

using namespace lomo;

namespace {

constexpr std::size_t kRoom = std::size_t{1} << 28;

TrainConfig config_of(OptimizerKind kind, DType dtype) {
  TrainConfig c;
  c.model.dtype = dtype;
  c.optimizer.name = kind;
  c.optimizer.lr = 1e-3;
  c.optimizer.momentum = kind == OptimizerKind::sgd ? 0.5 : 0;
  c.optimizer.rounding = Rounding::nearest;
  c.loss_scale.initial = 1;      // f16: no overflow on the first step
  c.metrics.rounding_every = 1;  // a plan assumes that every step is looked at
  return c;
}

/// What a real run of the planned batches leaves on the books of the CPU engine.
struct Measured {
  std::size_t peak = 0, extent = 0;  // the extent of both ways to find norms
  CategoryBytes at_peak{}, most{};
  double flops = 0;  // of the last step
};

Measured measure(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
                 int threads) {
  const auto cpu = make_cpu_backend({.threads = threads, .memory = kRoom});
  {  // what measure_gemm_peak holds
    const Shape square(1024, 1024);
    const DType type = *config.model.dtype;
    const Buffer x = cpu->allocate(square, type, Category::workspace, "x");
    const Buffer w = cpu->allocate(square, type, Category::workspace, "w");
    const Buffer y = cpu->allocate(square, type, Category::workspace, "y");
    cpu->zero(x);
    cpu->zero(w);
    cpu->linear(y, x, w);
  }
  Llama model(*cpu, shape, *config.model.dtype,
              {config.memory.head_block_rows, config.memory.keep_logits_bytes});
  test::fill_weights(model, 1);
  Trainer trainer(model, config, Schedule(ScheduleKind::constant, 1e-3, 0, 10));
  Ledger& ledger = cpu->ledger();
  ledger.restart();
  for (Batch const& batch : batches.eval) model.losses(batch);
  double before = 0;
  for (Batch const& batch : batches.train) {
    before = ledger.flops();
    REQUIRE(trainer.step(batch).outcome == StepOutcome::applied);
  }
  Measured real{ledger.peak(), ledger.extent(), ledger.at_peak(), ledger.peak_by_category(),
                ledger.flops() - before};
  trainer.measure_norms_by(NormMethod::tiles);  // as if no cheaper norm could be trusted
  for (Batch const& batch : batches.train) trainer.step(batch);
  real.extent = ledger.extent();
  return real;
}

PlannedBatches batches_of(std::vector<int> const& lengths) {
  PlannedBatches batches;
  batches.eval.push_back(make_batch(test::random_sequences({30, 17}, 4, 101, 5)));
  batches.train.push_back(make_batch(test::random_sequences({3, 8}, 1, 101, 4)));
  batches.train.push_back(make_batch(test::random_sequences(lengths, 2, 101, 3)));
  return batches;
}

void check_same(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
                int threads) {
  const Plan plan = make_plan(config, shape, batches,
                              [threads] { return make_dry_backend({.threads = threads}); });
  const Measured real = measure(config, shape, batches, threads);
  CHECK(plan.peak == real.peak);
  CHECK(plan.at_peak == real.at_peak);
  CHECK(plan.most == real.most);
  CHECK(plan.slab == real.extent);
  CHECK(plan.flops == real.flops);
  std::size_t named = 0;
  for (PlannedBlock const& block : plan.blocks) named += block.bytes;
  CHECK(named == plan.peak);
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
            check_same(config, test::tiny_config(tied), batches_of({40, 9, 33}), threads);
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
            check_same(config, shape, batches_of({9, 5}), 2);
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
          check_same(config, shape, batches_of({120, 64}), 2);
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

TEST_CASE("evaluation and generation fill the slab that is planned for them, and no more") {
  const ModelConfig shape = test::tiny_config(false);
  const PlannedBatches batches = batches_of({50, 20, 70});
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int threads : {1, 2}) {
      TrainConfig config = config_of(OptimizerKind::lomo, dtype);
      config.memory.head_block_rows = 30;
      const MakeEngine make_dry = [threads] { return make_dry_backend({.threads = threads}); };
      const auto on_slab = [&](std::size_t slab, auto const& use) {
        const auto cpu = make_cpu_backend({.threads = threads, .memory = slab});
        Llama model(*cpu, shape, dtype,
                    {config.memory.head_block_rows, config.memory.keep_logits_bytes});
        test::fill_weights(model, 1);
        use(model);
        CHECK(cpu->ledger().extent() == slab);
      };
      on_slab(planned_evaluation(config, shape, batches.train, make_dry), [&](Llama& model) {
        for (Batch const& batch : batches.train) model.losses(batch);
      });
      for (const auto& [prompt, total] : {std::pair{1, 1}, {1, 40}, {33, 34}, {20, 64}}) {
        INFO("prompt " << prompt << " total " << total << " threads " << threads);
        on_slab(planned_generation(config, shape, prompt, total, make_dry), [&](Llama& model) {
          KeyValueCache cache = model.make_cache(total);
          model.extend(cache, std::vector<std::int32_t>(static_cast<std::size_t>(prompt), 5));
          for (int used = prompt; used < total; ++used) model.extend(cache, {7});
        });
      }
    }
  }
}

TEST_CASE("the picture of a step shows the ledger's sums") {
  const TrainConfig config = config_of(OptimizerKind::lomo, DType::f32);
  PlannedBatches batches;
  batches.train.push_back(make_batch(test::random_sequences({50, 20, 70}, 2, 101, 3)));
  const Plan plan = make_plan(config, test::tiny_config(false), batches,
                              [] { return make_dry_backend({.threads = 1}); });
  DeviceProfile device;
  device.name = "a device";
  device.bf16 = device.f16 = device.f32 = 1e12;
  device.bandwidth = 1e11;
  for (const std::size_t moments : {1, 7, 1000}) {
    const auto samples = memory_over_time(plan, DType::f32, device, moments);
    REQUIRE(samples.size() == moments);
    std::size_t most = 0;
    CategoryBytes at_most{};
    for (CategoryBytes const& held : samples) {
      const std::size_t sum = std::accumulate(held.begin(), held.end(), std::size_t{0});
      CHECK(held[static_cast<std::size_t>(Category::weights)] ==
            plan.at_peak[static_cast<std::size_t>(Category::weights)]);
      if (sum > most) at_most = held;
      most = std::max(most, sum);
    }
    CHECK(most == plan.peak);
    CHECK(at_most == plan.at_peak);
  }
  const std::string page = plan_picture(plan, DType::f32, device, "a <name>", plan.peak + 1);
  for (char const* part : {"a &lt;name>", "limit", "</html>"}) CHECK(test::contains(page, part));
  CHECK(test::contains(page, std::to_string(plan.peak)));
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
