// A plan for ranks against real ones that are threads.
#include <vector>

#include "lomo/backend/ranks.h"
#include "lomo/plan/plan.h"
#include "train/on_ranks.h"

namespace lomo::test {

namespace {

/// Each rank has the same batch, as a plan has it.
std::vector<Ledger> real_ledgers(TrainConfig const& config, ModelConfig const& shape, int ranks,
                                 PlannedBatches const& batches) {
  std::vector<Ledger> ledgers(static_cast<std::size_t>(ranks));
  on_ranks(ranks, [&](Backend& backend, Communicator* communicator, int rank) {
    Llama model(backend, shape, *config.model.dtype, head_options(config), communicator);
    fill_weights(model, 1);
    Trainer trainer(model, config, Schedule(ScheduleKind::constant, 1e-3, 0, 10));
    backend.ledger().restart();
    for (Batch const& batch : batches.eval) model.losses(batch);
    for (Batch const& batch : batches.train) {
      if (&batch == &batches.train.back()) {
        Ledger& mine = ledgers[static_cast<std::size_t>(rank)];
        const std::size_t before = backend.ledger().peak();
        backend.ledger().restart();
        trainer.step(batch);
        mine = backend.ledger();
        if (before > mine.peak()) throw Error("the last batch must be the largest");
      } else {
        trainer.step(batch);
      }
    }
  });
  return ledgers;
}

}  // namespace

TEST_CASE("a plan for ranks is rank 0's peak to the byte, and what it exchanges") {
  for (const auto kind : {OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::adamw}) {
    for (const bool tied : {false, true}) {
      for (const int ranks : {2, 3, 4}) {
        TrainConfig config = bench_config(kind, tied ? 1.0 : 0.0);
        config.model.dtype = tied ? DType::f32 : DType::bf16;
        config.metrics.rounding_every = 1;  // a plan takes every step for one that is looked at
        config.ranks.wire = ranks == 3 ? DType::f32 : DType::bf16;
        config.memory.keep_logits_bytes = ranks == 2 ? 0 : 64u << 20;
        config.memory.head_block_rows = 16;
        config.clip.kept_blocks = ranks == 4 ? 2 : 0;
        const ModelConfig shape = tiny_config(tied);
        PlannedBatches batches;
        batches.eval.push_back(make_batch(random_sequences({30, 17}, 4, 101, 5)));
        batches.train.push_back(make_batch(random_sequences({3, 8}, 1, 101, 4)));
        batches.train.push_back(make_batch(random_sequences({40, 9, 33}, 2, 101, 3)));
        INFO(to_string(kind) << " tied " << tied << " ranks " << ranks);
        const Plan plan = make_plan(config, shape, batches, [ranks] {
          Engine engine(make_dry_backend({.threads = 1}));
          engine.ranks = make_dry_communicator(*engine.backend, 0, ranks);
          return engine;
        });
        const std::vector<Ledger> real = real_ledgers(config, shape, ranks, batches);
        Ledger const& first = real.front();
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

TEST_CASE("a share of a batch is as large as the largest of its shares") {
  const BatchCounts share = lomo::share_of(BatchCounts{1001, 500, 9, 400}, 4);
  CHECK(share == BatchCounts{251, 125, 3, 251});
  WorstBatches worst;
  const auto sequences = random_sequences({9, 4, 13, 1, 8, 8, 2, 17, 5}, 2, 101, 3);
  std::vector<Sequence const*> drawn;
  for (Sequence const& s : sequences) drawn.push_back(&s);
  worst.add_share(drawn, 3);
  const std::vector<Batch> found = worst.take();
  REQUIRE(found.size() == 1);
  for (int q = 0; q < 3; ++q) {
    const Batch share_of_rank = share_of(sequences, {q, 3});
    CHECK(counts_of(found.front()).tokens >= share_of_rank.rows());
    CHECK(counts_of(found.front()).targets >= share_of_rank.loss_count());
    CHECK(counts_of(found.front()).sequences >= share_of_rank.sequences());
  }
}

}  // namespace lomo::test
