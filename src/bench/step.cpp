#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "bench.h"
#include "lomo/core/text.h"
#include "lomo/data/batch.h"
#include "lomo/runtime/runtime.h"
#include "lomo/train/progress.h"

namespace lomo::bench {
namespace {

/// Sequences of random ids of which the last ones carry loss, each its share.
Batch random_batch(Extents const& e) {
  RandomStream random(random_key(1, "bench", "tokens", 0));
  std::vector<Sequence> sequences;
  for (std::int64_t first = 0; first < e.tokens; first += e.sequence) {
    const std::int64_t length = std::min(e.sequence, e.tokens - first);
    const std::int64_t end = first + length;
    const std::int64_t targets = end * e.targets / e.tokens - first * e.targets / e.tokens;
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i <= length; ++i) {
      const auto vocab = static_cast<std::uint64_t>(e.model.vocab);
      ids.push_back(static_cast<std::int32_t>(random.below(vocab)));
    }
    sequences.push_back(make_sequence(ids, static_cast<std::size_t>(length + 1 - targets)));
  }
  return make_batch(sequences);
}

}  // namespace

void bench_step(Engine engine, Extents const& e, TrainConfig config, DeviceProfile const& peaks,
                int repetitions) {
  config.model.dtype = e.type;
  config.memory.head_block_rows = e.head_block;
  Runtime runtime(std::move(engine), config, e.model);
  runtime.initialise(/*seed=*/1);
  // A rate that changes no figure of the step, however many there are.
  Trainer& trainer =
      runtime.start_training(Schedule(config.schedule.kind, /*peak=*/1e-9, 0, /*total=*/1000000));
  Ledger& ledger = runtime.ledger();
  const Batch batch = random_batch(e);
  trainer.step(batch);  // everything is allocated once
  std::vector<double> seconds;
  ledger.restart();
  for (int i = 0; i < repetitions; ++i) seconds.push_back(trainer.step(batch).seconds);
  const double flops = ledger.flops() / repetitions;
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  std::printf(
      "\nstep: %s, %s, %s: %.3f s, %s tokens/s, %.3f TFLOP, "
      "%.3f TFLOP/s, %.0f %% of the product rate; peak %s\n",
      counted(e.model.layers, "layer").c_str(), counted(batch.rows(), "token").c_str(),
      counted(batch.loss_count(), "target").c_str(), median,
      human_count(static_cast<std::int64_t>(static_cast<double>(batch.rows()) / median)).c_str(),
      flops / 1e12, flops / median / 1e12, 100 * flops / median / peaks.products(e.type),
      format_memory(ledger.at_peak()).c_str());
}

}  // namespace lomo::bench
