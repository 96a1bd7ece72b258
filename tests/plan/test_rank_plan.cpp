// A plan for ranks against real ones that are threads.
#include <algorithm>
#include <vector>

#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"
#include "lomo/plan/plan.h"
#include "train/on_ranks.h"

namespace lomo::test {

namespace {

/// Each rank has the same batch, as a plan has it.
std::vector<Ledger> real_ledgers(TrainConfig const& config, ModelConfig const& shape, int ranks,
                                 PlannedBatches const& batches) {
  std::vector<Ledger> ledgers(static_cast<std::size_t>(ranks));
  on_ranks(ranks, [&](Backend& backend, Communicator& communicator, int rank) {
    Decoder model(backend, shape, *config.model.dtype, head_options(config), communicator);
    fill_weights(model, 1);
    Trainer trainer(model, config, Schedule(ScheduleKind::constant, 1e-3, 0, 10));
    backend.ledger().restart();
    const auto here = [&](ShardedBatch const& batch) {
      return replicated_batch(batch.mine, rank, ranks);
    };
    for (ShardedBatch const& batch : batches.eval) model.losses(here(batch));
    for (ShardedBatch const& batch : batches.train) {
      if (&batch == &batches.train.back()) {
        Ledger& mine = ledgers[static_cast<std::size_t>(rank)];
        const std::size_t before = backend.ledger().peak();
        backend.ledger().restart();
        trainer.step(here(batch));
        mine = backend.ledger();
        if (before > mine.peak()) throw Error("the last batch must be the largest");
      } else {
        trainer.step(here(batch));
      }
    }
  });
  return ledgers;
}

}  // namespace

TEST_CASE("a plan for ranks is rank 0's peak to the byte, and what it exchanges") {
  const bool few = GENERATE(false, true);  // tokens, so that norms are found by factors
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::adamw}) {
    for (const bool tied : {false, true}) {
      for (const int ranks : {2, 3, 4}) {
        TrainConfig config = bench_config(kind, tied ? 1.0 : 0.0);
        config.model.dtype = tied ? DType::f32 : DType::bf16;
        config.metrics.rounding_every = 1;  // a plan takes every step for one that is looked at
        config.ranks.comm_dtype = ranks == 3 || few ? DType::f32 : DType::bf16;
        config.memory.keep_logits_bytes = ranks == 2 ? 0 : 64u << 20;
        config.memory.head_block_rows = 16;
        config.clip.kept_blocks = ranks == 4 ? 2 : 0;
        const ModelConfig shape = tiny_config(tied);
        PlannedBatches batches;
        const auto same = [ranks](std::vector<Sequence> const& sequences) {
          return replicated_batch(make_batch(sequences), /*rank=*/0, ranks);
        };
        if (few) {
          batches.train.push_back(same(random_sequences({2, 2}, 0, 101, 4)));
        } else {
          batches.eval.push_back(same(random_sequences({30, 17}, 4, 101, 5)));
          batches.train.push_back(same(random_sequences({3, 8}, 1, 101, 4)));
          batches.train.push_back(same(random_sequences({40, 9, 33}, 2, 101, 3)));
        }
        INFO(to_string(kind) << " tied " << tied << " ranks " << ranks << " few " << few);
        const Plan plan = make_plan(config, shape, batches, [ranks] {
          Engine engine(make_dry_backend({.threads = 1}));
          engine.connection = make_dry_communicator(*engine.backend, 0, ranks);
          return engine;
        });
        const std::vector<Ledger> real = real_ledgers(config, shape, ranks, batches);
        Ledger const& first = real.front();
        // Of the four groups of three blocks a sum here and one a round with other ranks.
        const std::uint64_t sums =
            first.ops().contains("inner_product") ? first.ops().at("inner_product").calls : 0;
        const bool by_factors = few && is_fused(kind);
        INFO(sums);
        CHECK((sums >= std::uint64_t{3} * 4 * (1 + static_cast<std::uint64_t>(ranks) / 2)) ==
              by_factors);
        CHECK(plan.ranks == ranks);
        CHECK(plan.peak == first.peak());
        CHECK(plan.at_peak == first.at_peak());
        CHECK(plan.flops == first.flops());
        double sent = 0, received = 0;
        for (auto const& [name, op] : first.ops()) {
          sent += op.cost.sent;
          received += op.cost.received;
        }
        CHECK(plan.sent == sent);
        CHECK(plan.received == received);
        for (Ledger const& ledger : real) CHECK(ledger.peak() <= plan.peak);
      }
    }
  }
}

TEST_CASE("ranks with batches of their own are each planned to the byte") {
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo}) {
    for (const int ranks : {2, 3, 5}) {
      RankedRun run;
      run.config = bench_config(kind, 1.0);
      run.config.metrics.rounding_every = 1;
      run.config.train.recompute = {ranks - 1};
      run.config.memory.keep_logits_bytes = ranks == 2 ? 0 : 64u << 20;
      run.config.memory.head_block_rows = 16;
      run.config.model.dtype = run.dtype = DType::bf16;
      run.head = head_options(run.config);
      run.shape = tiny_config(ranks == 3);
      run.batches = {random_sequences({9, 4, 13, 1, 8, 8, 2, 17, 5}, 2, 101, 3),
                     random_sequences({30, 2, 6}, 12, 101, 4)};
      const RankedResult real = train_on(ranks, run);
      std::vector<Plan> plans(static_cast<std::size_t>(ranks));
      dry_run_on_ranks(ranks, [&](Communicator& host) {
        PlannedBatches mine;
        for (auto const& global : run.batches) {
          mine.train.push_back(shard_batch(global, {host.rank(), ranks}));
        }
        plans[static_cast<std::size_t>(host.rank())] =
            make_plan(run.config, run.shape, mine, [&host] {
              Engine engine(make_dry_backend({.threads = 1}));
              engine.connection = make_dry_communicator(*engine, host);
              return engine;
            });
      });
      for (std::size_t q = 0; q < plans.size(); ++q) {
        INFO(to_string(kind) << ", rank " << q << " of " << ranks);
        CHECK(plans[q].rank == static_cast<int>(q));
        CHECK(plans[q].peak == real.ledgers[q].peak());
        CHECK(plans[q].at_peak == real.ledgers[q].at_peak());
        std::size_t named = 0;
        for (PlannedBlock const& block : plans[q].blocks) named += block.bytes;
        CHECK(named == plans[q].peak);
      }
    }
  }
}

TEST_CASE("a rank of a dry run that fails ends the others, and its own words are heard") {
  const auto fail = [](int failing) {
    dry_run_on_ranks(3, [failing](Communicator& host) {
      const std::vector<int> all = host.all_gather_host(host.rank());
      if (all != std::vector{0, 1, 2}) throw Error("wrong words");
      if (host.rank() == failing) throw Error(Exit::usage, "too much");
      host.barrier();
    });
  };
  CHECK_NOTHROW(fail(-1));
  for (const int rank : {0, 2}) CHECK_THROWS_WITH(fail(rank), "too much");
}

TEST_CASE("of the batches of a run those are planned that may need most on some rank") {
  TrainConfig config = bench_config(OptimizerKind::lomo, 0);
  const ModelConfig shape = tiny_config(false);
  std::vector<std::vector<Sequence>> globals{
      random_sequences({5, 5}, 2, 101, 3),         // less of all than the next
      random_sequences({9, 8}, 2, 101, 3),         //
      random_sequences({40, 2}, 39, 101, 3),       // long, with few targets
      random_sequences({3, 3, 3, 3}, 100, 101, 3)  // no targets: nothing is done
  };
  config.memory.keep_logits_bytes = 14 * 101 * sizeof(float);  // of up to 14 rows
  const auto chosen = [&](int ranks) {
    WorstBatches worst(config, shape, ranks);
    for (auto const& global : globals) worst.add(DrawnBatch(global.begin(), global.end()));
    std::vector<std::size_t> indices;
    for (DrawnBatch const& found : worst.take()) {
      const auto same = [&](std::vector<Sequence> const& global) {
        return global.front().tokens.data() == found.front().tokens.data();
      };
      indices.push_back(
          static_cast<std::size_t>(std::ranges::find_if(globals, same) - globals.begin()));
    }
    std::sort(indices.begin(), indices.end());
    return indices;
  };
  CHECK(chosen(1) == std::vector<std::size_t>{1, 2});
  CHECK(chosen(2) == std::vector<std::size_t>{1, 2});
  // A batch that keeps its logits may need more than a larger one that does not.
  config.memory.keep_logits_bytes = 8 * 101 * sizeof(float);
  CHECK(chosen(1) == std::vector<std::size_t>{0, 1, 2});
}

TEST_CASE("a share of a batch that is cut evenly") {
  const BatchCounts share = lomo::shard_batch(BatchCounts{1001, 500, 9, 400}, 4);
  CHECK(share == BatchCounts{251, 125, 3, 251});
}

}  // namespace lomo::test
