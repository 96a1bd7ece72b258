#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/plan/kept.h"
#include "lomo/plan/report.h"

namespace lomo {

namespace {

constexpr std::int64_t kMaxTokens = std::int64_t{1} << 24;
constexpr std::int64_t kMaxRanks = 4096;

/// `like` with `sequences` sequences of the same length and share of targets.
BatchCounts scaled(BatchCounts const& like, std::int64_t sequences, std::int64_t vocab) {
  BatchCounts counts;
  counts.sequences = sequences;
  counts.tokens = std::max<std::int64_t>(like.tokens / like.sequences, 1) * sequences;
  counts.targets = std::max<std::int64_t>(counts.tokens * like.targets / like.tokens, 1);
  counts.ids = std::min(vocab, counts.tokens);
  return counts;
}

/// How many blocks to recompute together so that the slab is smallest. More of them have fewer
/// inputs and more inside, so the first that needs more than the one before ends the search.
std::int64_t best_together(TrainConfig config, ModelConfig const& shape,
                           PlannedBatches const& batches, MakeEngine const& make_dry) {
  const auto slab_of = [&](std::int64_t blocks) {
    config.train.recompute = {blocks};
    return planned_work(config, shape, batches, make_dry).slab;
  };
  std::int64_t best = 1;
  std::size_t minimum = slab_of(best);
  while (best < shape.layers) {
    const std::size_t next = slab_of(best + 1);
    if (next >= minimum) break;
    minimum = next;
    best += 1;
  }
  return best;
}

/// The largest number that `fits`, which no larger number does; 0: none. Nothing above `maximum` is
/// tried.
std::int64_t largest(std::int64_t maximum, std::function<bool(std::int64_t)> const& fits) {
  std::int64_t good = 0, bad = 1;
  while (bad <= maximum && fits(bad)) {
    good = bad;
    bad *= 2;
  }
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

void advise(PlanReport& report, ModelConfig const& shape, PlannedBatches const& batches,
            MakeRank const& make_rank) {
  TrainConfig const& config = report.resolved;
  BatchCounts now = report.plan.step;  // of which this rank may have been given nothing
  now.sequences = std::max<std::int64_t>(now.sequences, 1);
  now.tokens = std::max(now.tokens, now.sequences);
  now.targets = std::max<std::int64_t>(now.targets, 1);
  now.ids = std::max<std::int64_t>(now.ids, 1);
  const MakeEngine make_dry = [&] { return make_rank(report.plan.rank, report.plan.ranks); };
  const auto fits_device = [&](std::size_t slab) {
    return slab + report.verdict.headroom <= report.verdict.memory;
  };
  PlannedBatches step;  // the one batch that report.plan.flops are of
  step.train.push_back(replicated_batch(batch_with(now), report.plan.rank, report.plan.ranks));
  const std::size_t slab_now = planned_work(config, shape, batches, make_dry).slab;
  const double flops_now = planned_work(config, shape, step, make_dry).flops;
  Activity activity("looking for advice");
  const auto change = [&](std::string name, auto const& apply) {
    activity.advance();
    TrainConfig changed = config;
    apply(changed);
    const std::size_t slab = planned_work(changed, shape, batches, make_dry).slab;
    const double flops = planned_work(changed, shape, step, make_dry).flops;
    if (slab >= slab_now && flops >= flops_now) return;  // of no use
    const auto saved = static_cast<std::int64_t>(slab_now) - static_cast<std::int64_t>(slab);
    report.advice.push_back(
        {"--set " + std::move(name), slab, saved, flops / flops_now, fits_device(slab)});
  };
  const auto recompute = [&](std::string const& name, Recompute every) {
    if (every == config.train.recompute) return;
    change("train.recompute=" + name, [every](TrainConfig& c) { c.train.recompute = every; });
  };
  recompute("none", Recompute::none);
  recompute("block", Recompute::block);
  const std::int64_t together = best_together(config, shape, batches, make_dry);
  if (together > 1) recompute(std::to_string(together), {together});
  const std::size_t room =
      report.verdict.memory - std::min(report.verdict.memory, report.verdict.headroom);
  if (takes_check(config) && config.clip.strategy == ClipStrategy::automatic &&
      config.memory.budget == 0 && room > slab_now) {
    const std::string budget = format_bytes(room);
    change("memory.budget=" + budget, [&](TrainConfig& c) {  // kept factors save work
      c.memory.budget = room;
      c.clip.kept_blocks.reset();
      resolve_kept(c, shape, batches, make_dry);
    });
  }
  if (config.clip.kept_blocks.value_or(0) < shape.layers && takes_check(config)) {
    change("clip.strategy=one_pass", [&](TrainConfig& c) { c.clip.kept_blocks = shape.layers; });
  }
  if (config.clip.kept_blocks.value_or(0) > 0) {
    change("clip.strategy=two_pass", [](TrainConfig& c) { c.clip.kept_blocks = 0; });
  }
  if (config.memory.keep_logits_bytes > 0) {
    change("memory.keep_logits_bytes=0", [](TrainConfig& c) { c.memory.keep_logits_bytes = 0; });
  }
  if (const std::int64_t rows = config.memory.head_block_rows / 4; rows > 0) {
    change("memory.head_block_rows=" + std::to_string(rows),
           [rows](TrainConfig& c) { c.memory.head_block_rows = rows; });
  }
  if (const std::int64_t rows = config.memory.head_chunk_rows / 4;
      rows > 0 && report.plan.ranks > 1) {
    change("memory.head_chunk_rows=" + std::to_string(rows),
           [rows](TrainConfig& c) { c.memory.head_chunk_rows = rows; });
  }
  if (const std::size_t bytes = config.memory.tile_bytes / 4; bytes > 0) {
    change("memory.tile_bytes=" + format_bytes(bytes),
           [bytes](TrainConfig& c) { c.memory.tile_bytes = bytes; });
  }
  if (config.optimizer.kind != OptimizerKind::lomo) {
    change("optimizer.kind=lomo", [](TrainConfig& c) { c.optimizer.kind = OptimizerKind::lomo; });
  }

  const auto tokens = [&](std::int64_t sequences) {
    return sequences == 0 ? 0 : scaled(now, sequences, shape.vocab).tokens;
  };
  report.largest_tokens = tokens(largest(kMaxTokens / tokens(1), [&](std::int64_t sequences) {
    activity.advance();
    PlannedBatches batch;
    batch.train.push_back(replicated_batch(batch_with(scaled(now, sequences, shape.vocab)),
                                           report.plan.rank, report.plan.ranks));
    return fits_device(planned_work(config, shape, batch, make_dry).slab);
  }));

  const BatchCounts whole = scaled(now, now.sequences * report.plan.ranks, shape.vocab);
  const std::int64_t too_few = largest(kMaxRanks, [&](std::int64_t ranks) {
    activity.advance();
    PlannedBatches batch;
    const auto of = static_cast<int>(ranks);
    batch.train.push_back(replicated_batch(batch_with(shard_batch(whole, of)), 0, of));
    const auto make_one = [&] { return make_rank(/*rank=*/0, of); };
    return !fits_device(planned_work(config, shape, batch, make_one).slab);
  });
  report.min_ranks = too_few < kMaxRanks ? static_cast<int>(too_few + 1) : 0;
}

}  // namespace lomo
