#include <algorithm>
#include <span>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/data/share.h"
#include "lomo/plan/plan.h"
#include "lomo/train/scoring.h"

namespace lomo {

namespace {

bool covers(BatchCounts const& a, BatchCounts const& b) {
  return a.tokens >= b.tokens && a.targets >= b.targets && a.sequences >= b.sequences &&
         a.ids >= b.ids;
}

}  // namespace

BatchCounts counts_of(Batch const& batch) {
  return {batch.rows(), batch.loss_count(), batch.sequences(),
          static_cast<std::int64_t>(batch.unique_ids.size())};
}

Batch batch_with(BatchCounts const& counts) {
  const auto refuse = [](std::string const& what) { throw Error(Exit::usage, "plan: " + what); };
  if (counts.tokens < 1 || counts.sequences < 1) {
    refuse("a batch needs at least one token and one sequence");
  }
  if (counts.targets < 1 || counts.targets > counts.tokens) {
    refuse("--targets " + std::to_string(counts.targets) + " is not between 1 and the batch's " +
           std::to_string(counts.tokens) + " tokens");
  }
  if (counts.sequences > counts.tokens) {
    refuse("--sequences " + std::to_string(counts.sequences) + " is above the batch's " +
           std::to_string(counts.tokens) + " tokens");
  }
  std::vector<Sequence> sequences(static_cast<std::size_t>(counts.sequences));
  std::int64_t token = 0, unasked = counts.tokens - counts.targets;
  for (std::int64_t s = 0; s < counts.sequences; ++s) {
    // Later sequences take what the division leaves over.
    const std::int64_t length = (counts.tokens - token) / (counts.sequences - s);
    const std::int64_t masked = unasked / (counts.sequences - s);
    Sequence& sequence = sequences[static_cast<std::size_t>(s)];
    for (std::int64_t i = 0; i < length; ++i) {
      sequence.tokens.push_back(static_cast<std::int32_t>((token + i) % counts.ids));
      sequence.targets.push_back(i < masked ? kNoTarget : 0);
    }
    token += length;
    unasked -= std::min(masked, length);
  }
  return make_batch(sequences);
}

std::int64_t WorstBatches::distinct(std::vector<Sequence const*> const& sequences) {
  std::int64_t ids = 0;
  calls_ += 1;
  for (Sequence const* sequence : sequences) {
    for (const std::int32_t token : sequence->tokens) {
      const auto id = static_cast<std::size_t>(token);
      if (id >= seen_.size()) seen_.resize(id + 1, 0);
      ids += seen_[id] != calls_ ? 1 : 0;
      seen_[id] = calls_;
    }
  }
  return ids;
}

BatchCounts WorstBatches::count(std::vector<Sequence const*> const& sequences) {
  BatchCounts counts;
  counts.sequences = static_cast<std::int64_t>(sequences.size());
  for (Sequence const* sequence : sequences) {
    counts.tokens += static_cast<std::int64_t>(sequence->tokens.size());
    counts.targets += static_cast<std::int64_t>(sequence->targets.size()) -
                      std::count(sequence->targets.begin(), sequence->targets.end(), kNoTarget);
  }
  counts.ids = distinct(sequences);
  return counts;
}

bool WorstBatches::is_covered(BatchCounts const& counts) const {
  return std::ranges::any_of(counts_,
                             [&](BatchCounts const& known) { return covers(known, counts); });
}

void WorstBatches::add(std::vector<Sequence const*> const& sequences) {
  const BatchCounts counts = count(sequences);
  if (is_covered(counts)) return;
  std::vector<Sequence> copies;
  for (Sequence const* sequence : sequences) copies.push_back(*sequence);
  counts_.push_back(counts);
  batches_.push_back(make_batch(copies));
}

// Of the shares of one batch the largest of each count: what a rank holds depends on the others'.
void WorstBatches::add_share(std::vector<Sequence const*> const& sequences, int ranks) {
  if (ranks == 1) return add(sequences);
  std::vector<std::int64_t> lengths;
  for (Sequence const* sequence : sequences) {
    lengths.push_back(static_cast<std::int64_t>(sequence->tokens.size()));
  }
  BatchCounts most;
  for (auto const& share : share_out(lengths, ranks)) {
    std::vector<Sequence const*> own;
    for (const std::size_t i : share) own.push_back(sequences[i]);
    const BatchCounts counts = count(own);
    most.tokens = std::max(most.tokens, counts.tokens);
    most.targets = std::max(most.targets, counts.targets);
    most.sequences = std::max(most.sequences, counts.sequences);
    most.ids = std::max(most.ids, counts.ids);
  }
  if (most.targets == 0 || is_covered(most)) return;
  counts_.push_back(most);
  batches_.push_back(batch_with(most));
}

BatchCounts share_of(BatchCounts const& global, int ranks) {
  const auto part = [ranks](std::int64_t n) { return (n + ranks - 1) / ranks; };
  BatchCounts share{part(global.tokens), part(global.targets), part(global.sequences), 0};
  share.ids = std::min(global.ids, share.tokens);
  return share;
}

PlannedBatches planned_batches(TrainConfig const& config, Inputs const& inputs, Sampler sampler,
                               std::int64_t batches, int ranks) {
  WorstBatches train;
  for (std::int64_t i = 0; i < batches; ++i) train.add_share(sampler.draw(), ranks);
  return {train.take(), planned_eval_batches(config, inputs, ranks)};
}

std::vector<Batch> planned_eval_batches(TrainConfig const& config, Inputs const& inputs,
                                        int ranks) {
  WorstBatches eval;
  for_each_scored_batch(inputs.eval.data.sequences, config.eval.max_tokens,
                        [&](std::span<Sequence const> sequences) {
                          std::vector<Sequence const*> drawn;
                          for (Sequence const& sequence : sequences) drawn.push_back(&sequence);
                          eval.add_share(drawn, ranks);
                        });
  return eval.take();
}

PlannedBatches planned_batches(TrainConfig const& config, ModelConfig const& shape, int ranks) {
  const std::int64_t longest = config.data.max_length - 1;  // the last id is only a target
  const auto largest = [&](std::int64_t sequences, std::int64_t cap) {
    BatchCounts counts;
    counts.tokens = sequences > 0 ? sequences * longest : cap;
    if (cap > 0) counts.tokens = std::min(counts.tokens, std::max(cap, longest));
    counts.targets = counts.tokens;
    counts.sequences = sequences > 0 ? std::min(sequences, counts.tokens)
                                     : (counts.tokens + longest - 1) / longest;
    counts.ids = std::min(counts.tokens, shape.vocab);
    return batch_with(share_of(counts, ranks));
  };
  PlannedBatches planned;
  planned.train.push_back(largest(config.batch.sequences, config.batch.max_tokens));
  if (config.eval.before || config.eval.at_end || config.eval.every_steps > 0 ||
      config.eval.every_epochs > 0) {
    planned.eval.push_back(largest(0, config.eval.max_tokens));
  }
  return planned;
}

}  // namespace lomo
