#include "lomo/plan/batches.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/parallel/ownership.h"
#include "lomo/train/scoring.h"
#include "lomo/train/trainer.h"

namespace lomo {

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
    refuse("--targets " + std::to_string(counts.targets) +
           ": a batch has at least one target and no more than its " +
           counted(counts.tokens, "token"));
  }
  if (counts.sequences > counts.tokens) {
    refuse("--sequences " + std::to_string(counts.sequences) + " is more than the batch's " +
           counted(counts.tokens, "token"));
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

WorstBatches::WorstBatches(TrainConfig const& config, ModelConfig const& shape, int ranks)
    : head_(head_options(config)),
      gradient_tile_(TileSize{config.memory.tile_bytes}.rows_for(
          {owned_rows(shape.vocab, 0, ranks).count, shape.width})),
      vocab_(shape.vocab),
      ranks_(ranks) {}

bool WorstBatches::Needs::covers(Needs const& other) const {
  return own.tokens >= other.own.tokens && own.targets >= other.own.targets &&
         own.sequences >= other.own.sequences && own.ids >= other.own.ids &&
         targets >= other.targets && ids >= other.ids && chunk >= other.chunk &&
         ids_of_tile >= other.ids_of_tile && ids_of_gradient_tile >= other.ids_of_gradient_tile &&
         loss_rows_only == other.loss_rows_only && keeps_logits == other.keeps_logits;
}

BatchCounts WorstBatches::count(DrawnBatch const& share) {
  BatchCounts counts;
  counts.sequences = static_cast<std::int64_t>(share.size());
  counted_ += 1;
  for (SequenceView const& sequence : share) {
    counts.tokens += sequence.length();
    counts.targets += sequence.target_count();
    for (const std::int32_t token : sequence.tokens) {
      const auto id = static_cast<std::size_t>(token);
      if (id >= seen_.size()) seen_.resize(id + 1, 0);
      counts.ids += seen_[id] != counted_ ? 1 : 0;
      seen_[id] = counted_;
    }
  }
  return counts;
}

std::vector<WorstBatches::Needs> WorstBatches::needs_of(DrawnBatch const& global) {
  std::vector<std::int64_t> lengths;
  for (SequenceView const& sequence : global) lengths.push_back(sequence.length());
  Needs all;
  std::vector<BatchCounts> shares;
  for (auto const& share : shard_sequences(lengths, ranks_)) {
    DrawnBatch own;
    for (const std::size_t i : share) own.push_back(global[i]);
    const BatchCounts counts = count(own);
    all.own.tokens += counts.tokens;
    all.targets += counts.targets;
    all.ids += counts.ids;
    all.chunk += std::min(head_.rows_of_rank(ranks_), counts.targets);
    all.ids_of_tile += std::min(head_.vocabulary_tile(ranks_), counts.ids);
    all.ids_of_gradient_tile += std::min(gradient_tile_, counts.ids);
    shares.push_back(counts);
  }
  all.loss_rows_only = Decoder::last_block_on_loss_rows(all.own.tokens, all.targets);
  std::vector<Needs> needs;
  for (BatchCounts const& share : shares) {
    needs.push_back(all);
    needs.back().own = share;
    const int rank = static_cast<int>(needs.size()) - 1;
    needs.back().keeps_logits =
        head_.keeps_logits(all.targets, owned_rows(vocab_, rank, ranks_).count);
  }
  return needs;
}

void WorstBatches::keep_if_worse(Found found) {
  for (std::size_t q = 0; q < found.needs.size(); ++q) {
    const bool covered = std::ranges::any_of(
        found_, [&](Found const& known) { return known.needs[q].covers(found.needs[q]); });
    if (covered) continue;
    found_.push_back(std::move(found));
    return;
  }
}

void WorstBatches::add(DrawnBatch const& global) {
  Found found{global, needs_of(global)};
  if (found.needs.front().targets > 0) keep_if_worse(std::move(found));
}

std::vector<DrawnBatch> WorstBatches::take() {
  // Once more from the last to the first, which leaves out what later ones cover.
  const std::vector<Found> all = std::exchange(found_, {});
  std::for_each(all.rbegin(), all.rend(), [this](Found const& found) { keep_if_worse(found); });
  std::vector<DrawnBatch> worst;
  for (Found& found : found_) worst.push_back(std::move(found.batch));
  found_.clear();
  return worst;
}

PlannedBatches DrawnBatches::of_rank(int rank, int ranks) const {
  PlannedBatches own;
  for (DrawnBatch const& batch : train) own.train.push_back(shard_batch(batch, rank, ranks));
  for (DrawnBatch const& batch : eval) own.eval.push_back(shard_batch(batch, rank, ranks));
  own.generations = generations;
  return own;
}

BatchCounts shard_batch(BatchCounts const& global, int ranks) {
  const auto part = [ranks](std::int64_t n) { return (n + ranks - 1) / ranks; };
  BatchCounts share{part(global.tokens), part(global.targets), part(global.sequences), 0};
  share.ids = std::min(global.ids, share.tokens);
  return share;
}

DrawnBatches drawn_batches(TrainConfig const& config, ModelConfig const& shape,
                           Inputs const& inputs, Sampler sampler, std::int64_t batches, int ranks) {
  WorstBatches train(config, shape, ranks);
  Activity activity("planning batches", static_cast<double>(batches));
  for (std::int64_t i = 0; i < batches; ++i) {
    train.add(sampler.draw());
    activity.advance();
  }
  DrawnBatches drawn = drawn_evaluation(config, shape, inputs, ranks);
  drawn.train = train.take();
  return drawn;
}

DrawnBatches drawn_evaluation(TrainConfig const& config, ModelConfig const& shape,
                              Inputs const& inputs, int ranks) {
  WorstBatches eval(config, shape, ranks);
  for_each_scored_batch(inputs.eval.data.all(), config.eval.max_tokens,
                        [&](std::span<SequenceView const> sequences) {
                          eval.add({sequences.begin(), sequences.end()});
                        });
  return {{}, eval.take(), longest_of(free_answers(inputs.eval, config.eval))};
}

std::int64_t batches_of_run(TrainConfig const& config, Sampler const& sampler) {
  return sampler.batches_in(config.train.epochs, config.train.max_steps);
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
    return replicated_batch(batch_with(shard_batch(counts, ranks)), /*rank=*/0, ranks);
  };
  PlannedBatches planned;
  planned.train.push_back(largest(config.batch.sequences, config.batch.max_tokens));
  if (config.eval.before || config.eval.at_end || config.eval.every_steps > 0 ||
      config.eval.every_epochs > 0) {
    planned.eval.push_back(largest(0, config.eval.max_tokens));
    const auto generation = longest_generation(config);
    if (generation) planned.generations.push_back(*generation);
  }
  return planned;
}

}  // namespace lomo
