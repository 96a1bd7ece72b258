#include <algorithm>
#include <numeric>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/plan/report.h"
#include "lomo/plan/step_time.h"
#include "planned.h"
#include "support/errors.h"

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
      for (const auto recompute :
           {Recompute::none, Recompute::block, Recompute{2}, Recompute{1, 1}, Recompute{2, 2}}) {
        for (const bool tied : {false, true}) {
          for (const int threads : {1, 2}) {
            TrainConfig config = config_of(kind, dtype);
            config.train.recompute = recompute;
            config.clip.norm = tied ? 1.0 : 0.0;
            config.gradient_check =
                tied || dtype == DType::f16 ? GradientCheck::step : GradientCheck::tile;
            INFO(to_string(kind) << ' ' << to_string(dtype) << " recompute " << recompute.blocks
                                 << " but upper " << recompute.upper << " tied " << tied
                                 << " threads " << threads);
            check_on_cpu(config, test::tiny_config(tied), batches_of({40, 9, 33}), threads);
          }
        }
      }
    }
  }
}

TEST_CASE("a plan of a model with all that LLaMA has not is its run's to the byte") {
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::adamw}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const auto recompute : {Recompute::none, Recompute::block}) {
        for (const std::int64_t kept : {0, 2}) {
          TrainConfig config = config_of(kind, dtype);
          config.train.recompute = recompute;
          config.clip.norm = 1;
          config.clip.kept_blocks = kept;
          INFO(to_string(kind) << ' ' << to_string(dtype) << " recompute " << recompute.blocks
                               << " but upper " << recompute.upper << " kept " << kept);
          check_on_cpu(config, test::unlike_llama(kept == 0), batches_of({40, 9, 33}), 2);
        }
      }
    }
  }
}

TEST_CASE("a plan follows the factors that are kept, and norms from Gram matrices") {
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      for (const auto recompute :
           {Recompute::none, Recompute::block, Recompute{2}, Recompute{1, 1}, Recompute{2, 2}}) {
        for (const bool tied : {false, true}) {
          for (const std::int64_t kept : {0, 1, 2, 3}) {
            TrainConfig config = config_of(kind, dtype);
            config.train.recompute = recompute;
            config.clip.norm = 1;
            config.clip.kept_blocks = kept;
            config.memory.keep_logits_bytes = kept % 2 == 0 ? 0 : 1 << 20;
            ModelConfig shape = test::tiny_config(tied);
            shape.ffn = 200;  // wide for the rows of the batch, so that Gram matrices are cheaper
            INFO(to_string(kind) << ' ' << to_string(dtype) << " recompute " << recompute.blocks
                                 << " but upper " << recompute.upper << " tied " << tied << " kept "
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

TEST_CASE("evaluation and generation hold what is planned, by category, and fill the slab") {
  const ModelConfig shape = test::tiny_config(false);
  const PlannedBatches batches = batches_of({50, 20, 70});
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int threads : {1, 2}) {
      TrainConfig config = config_of(OptimizerKind::lomo, dtype);
      config.memory.head_block_rows = 30;
      const MakeEngine make_dry = [threads] { return make_dry_backend({.threads = threads}); };
      const auto on_slab = [&](MemoryUse const& plan, auto const& use) {
        const auto cpu = make_cpu_backend({.threads = threads, .memory = plan.slab});
        Decoder model(*cpu, shape, dtype,
                      {config.memory.head_block_rows, config.memory.keep_logits_bytes});
        test::fill_weights(model, 1);
        use(model);
        const MemoryUse real = held_by(cpu->ledger());
        CHECK(real.slab == plan.slab);
        CHECK(real.peak == plan.peak);
        CHECK(real.at_peak == plan.at_peak);
      };
      PlannedBatches scored;
      scored.eval = batches.train;
      on_slab(planned_evaluation(config, shape, scored, make_dry), [&](Decoder& model) {
        for (ShardedBatch const& batch : batches.train) model.losses(batch);
      });
      for (const auto& [prompt, total] : {std::pair{1, 1}, {1, 40}, {33, 34}, {20, 64}}) {
        INFO("prompt " << prompt << " total " << total << " threads " << threads);
        on_slab(planned_generation(config, shape, prompt, total, make_dry), [&](Decoder& model) {
          KeyValueCache cache = model.make_cache(total);
          std::vector<std::int32_t> ids(static_cast<std::size_t>(prompt));
          std::iota(ids.begin(), ids.end(), 0);  // distinct, as a plan takes them
          model.extend(cache, ids);
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
    std::size_t maximum = 0;
    CategoryBytes at_most{};
    for (CategoryBytes const& held : samples) {
      const std::size_t sum = std::accumulate(held.begin(), held.end(), std::size_t{0});
      CHECK(held[static_cast<std::size_t>(Category::weights)] ==
            plan.at_peak[static_cast<std::size_t>(Category::weights)]);
      if (sum > maximum) at_most = held;
      maximum = std::max(maximum, sum);
    }
    CHECK(maximum == plan.peak);
    CHECK(at_most == plan.at_peak);
  }
  const std::string page = plan_picture(plan, DType::f32, device, "a <name>", plan.peak + 1);
  for (char const* part : {"a &lt;name>", "limit", "</html>"}) CHECK(test::contains(page, part));
  CHECK(test::contains(page, std::to_string(plan.peak)));
}

TEST_CASE("a step takes as long as its queues let it, exchanges beside computing") {
  using Kind = EventLog::Kind;
  EventLog log;
  DeviceProfile device;
  device.bf16 = device.f16 = device.f32 = 100;  // flops a second
  device.bandwidth = 10;
  device.link = 2;
  const auto step = [&](DeviceProfile const& on) {
    StepClock clock(DType::bf16, on);
    for (EventLog::Event const& event : log.events()) clock.pass(event);
    return clock;
  };
  log.exchange("all_gather", {.sent = 4, .received = 8}).fence = 1;  // 4 s, until 4
  log.operation("linear", {.flops = 300, .bytes = 10});              // 3 s of compute, until 3
  log.wait(Kind::wait, 1);                                           // until 4
  log.exchange("all_to_all", {.sent = 2, .received = 2}).fence = 2;  // 1 s, until 5
  log.operation("swiglu", {.flops = 1e9, .bytes = 20});              // 2 s of memory, until 6
  log.exchange("all_to_all", {.sent = 6, .received = 2}).fence = 3;  // 3 s, from 6 to 9
  log.wait(Kind::wait, 2);                                           // done long ago
  log.operation("linear", {.flops = 100, .bytes = 0});               // 1 s, until 7
  CHECK(step(device).now() == 7);
  ExpectedTime time = step(device).time();
  CHECK(time.seconds == 9);  // the last exchange is the end of the step
  CHECK(time.compute == 4);
  CHECK(time.memory == 2);
  CHECK(time.link == 8);
  CHECK(time.bound() == "the link");

  DeviceProfile unlinked = device;
  unlinked.link = 0;  // not known
  CHECK(step(unlinked).time().seconds == 6);
  CHECK(step(unlinked).time().bound() == "compute");

  log.enter_side_stream(1);                    // the side stream begins at 7
  log.wait(Kind::wait, 3);                     // and waits until 9
  log.operation("sgd_update", {.bytes = 20});  // 2 s of memory, until 11
  log.leave_side_stream(1);                    //
  log.operation("linear", {.flops = 300});     // beside it 3 s of compute, until 10
  log.wait(Kind::join, 1);                     // until 11
  log.operation("linear", {.flops = 50});      // until 11.5
  CHECK(step(device).now() == 11.5);
  CHECK(step(device).time().seconds == 11.5);
  log.enter_side_stream(2);
  log.operation("sgd_update", {.bytes = 200});  // 20 s beside
  log.leave_side_stream(2);
  log.operation("copy", {.bytes = 200});  // 20 s of the same memory's time
  CHECK(step(device).now() == 31.5);
  CHECK(step(device).time().seconds == Approx(45));  // 450 bytes in all
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
