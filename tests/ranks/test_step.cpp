// Training steps on ranks: how often their hosts wait for each other.
#include "lomo/parallel/sharded_batch.h"
#include "ranks.h"
#include "train/bench.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("the hosts of a step exchange results alone, nothing about the batch") {
  const auto backend = make_cpu(1);
  const auto communicator = ranks().communicator(*backend);
  const int rank = ranks().rank(), size = ranks().size();
  TrainConfig config = bench_config(OptimizerKind::lomo, /*clip=*/1);
  Decoder model(*backend, tiny_config(false), DType::f32, {}, *communicator);
  fill_weights(model, 1);
  Trainer trainer(model, config, Schedule(ScheduleKind::constant, 0.1, 0, 10));
  trainer.find_norms_by(NormMethod::tiles);
  std::vector<std::int64_t> hosts;
  for (std::uint32_t seed = 3; seed < 6; ++seed) {
    const std::vector<Sequence> drawn = random_sequences({9, 4, 13, 8, 2}, 2, 101, seed);
    const std::vector<SequenceView> global(drawn.begin(), drawn.end());
    const ShardedBatch batch = shard_batch(global, rank, size);
    const std::int64_t before = communicator->host_collectives();
    const StepReport report = trainer.step(batch);
    hosts.push_back(communicator->host_collectives() - before);
    CHECK(report.tokens == make_batch(drawn).rows());
    CHECK(report.outcome == StepOutcome::applied);
  }
  // The norm of the gradient, which decides what is done with it.
  CHECK(hosts == std::vector<std::int64_t>{1, 1, 1});
}
