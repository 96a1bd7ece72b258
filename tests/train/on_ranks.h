#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lomo/parallel/sharded_batch.h"
#include "support/thread_ranks.h"
#include "train/bench.h"

/// A tiny model trained on ranks that are threads.
namespace lomo::test {

/// One training of the tiny model.
struct RankedRun {
  TrainConfig config = bench_config(OptimizerKind::lomo, 0.5);
  ModelConfig shape = tiny_config(false);
  DType dtype = DType::f32;
  HeadOptions head = {};                       // its communication dtype is the config's
  std::vector<std::vector<Sequence>> batches;  // the global ones, a step each
  std::function<void(Decoder&)> before = [](Decoder&) {};  // changes the weights
};

/// What it came to. Weights are whole: the rows of all ranks.
struct RankedResult {
  std::vector<StepReport> reports;
  std::map<std::string, std::vector<float>> weights;
  std::vector<Ledger> ledgers;  // by rank
};

inline ShardedBatch shard_batch(std::vector<Sequence> const& global, RankInfo place) {
  return lomo::shard_batch(std::vector<SequenceView>(global.begin(), global.end()), place.rank,
                           place.ranks);
}

/// Trains on R ranks. All ranks must report the same and hold the same vectors.
inline RankedResult train_on(int ranks, RankedRun const& run) {
  std::vector<RankedResult> of_rank(static_cast<std::size_t>(ranks));
  std::set<std::string> sharded;  // the others are whole on each rank
  on_ranks(ranks, [&](Backend& backend, Communicator& communicator, int rank) {
    RankedResult& mine = of_rank[static_cast<std::size_t>(rank)];
    HeadOptions head = run.head;
    head.comm_dtype = run.config.ranks.comm_dtype;
    Decoder model(backend, run.shape, run.dtype, head, communicator);
    fill_weights(model, 1);
    run.before(model);
    Trainer trainer(model, run.config,
                    Schedule(ScheduleKind::constant, run.config.optimizer.lr, 0, 10));
    backend.ledger().restart();
    for (auto const& global : run.batches) {
      mine.reports.push_back(trainer.step(shard_batch(global, {rank, ranks})));
    }
    mine.ledgers.push_back(backend.ledger());
    for (auto* group : model.weights().groups()) {
      for (auto const& p : group->members()) {
        const auto numbers = values(backend, p.value);
        mine.weights[p.name].assign(numbers.begin(), numbers.end());
        if (rank == 0 && p.sharded()) sharded.insert(p.name);
      }
    }
  });
  RankedResult all = of_rank.front();
  for (std::size_t q = 1; q < of_rank.size(); ++q) {
    for (std::size_t i = 0; i < all.reports.size(); ++i) {
      StepReport const &a = all.reports[i], &b = of_rank[q].reports[i];
      CHECK(b.outcome == a.outcome);
      CHECK(b.loss == a.loss);
      const bool neither = std::isnan(a.grad_norm) && std::isnan(b.grad_norm);
      CHECK((neither || b.grad_norm == a.grad_norm));
      CHECK(b.coefficient == a.coefficient);
      REQUIRE(b.rounding.has_value() == a.rounding.has_value());
      if (a.rounding) {
        CHECK(b.rounding->changed == a.rounding->changed);
        CHECK(b.rounding->realised == a.rounding->realised);
      }
      CHECK(b.tokens == a.tokens);
      CHECK(b.targets == a.targets);
    }
    for (auto const& [name, rows] : of_rank[q].weights) {
      if (!sharded.contains(name)) {
        CHECK(rows == all.weights.at(name));
      } else {
        auto& whole = all.weights.at(name);
        whole.insert(whole.end(), rows.begin(), rows.end());
      }
    }
    all.ledgers.push_back(of_rank[q].ledgers.front());
  }
  return all;
}

/// |a - b| of all weights over |b - start|, how far b came.
inline double distance(RankedResult const& a, RankedResult const& b, RankedResult const& start) {
  double apart = 0, way = 0;
  for (auto const& [name, rows] : b.weights) {
    auto const &other = a.weights.at(name), &from = start.weights.at(name);
    REQUIRE(other.size() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      apart += std::pow(static_cast<double>(other[i]) - static_cast<double>(rows[i]), 2);
      way += std::pow(static_cast<double>(rows[i]) - static_cast<double>(from[i]), 2);
    }
  }
  return std::sqrt(apart / way);
}

}  // namespace lomo::test
