#include "lomo/train/scoring.h"

#include <algorithm>
#include <cstddef>

#include "lomo/core/activity.h"
#include "lomo/parallel/sharded_batch.h"

namespace lomo {

void for_each_scored_batch(std::span<SequenceView const> sequences, std::int64_t max_tokens,
                           std::function<void(std::span<SequenceView const>)> const& use) {
  std::size_t first = 0;
  while (first < sequences.size()) {
    std::size_t end = first;
    std::int64_t tokens = 0;
    while (end < sequences.size()) {
      const std::int64_t length = sequences[end].length();
      if (end > first && tokens + length > max_tokens) break;
      tokens += length;
      ++end;
    }
    use(sequences.subspan(first, end - first));
    first = end;
  }
}

std::vector<SequenceScore> score_sequences(Decoder& model, std::span<SequenceView const> sequences,
                                           std::int64_t max_tokens,
                                           std::function<bool()> const& stop) {
  const RankInfo info = rank_info(model.ranks());
  std::vector<SequenceScore> scores(sequences.size());
  Activity activity("evaluating", static_cast<double>(sequences.size()), Activity::Unit::count,
                    Activity::End::quiet);
  bool stopped = false;
  for_each_scored_batch(sequences, max_tokens, [&](std::span<SequenceView const> some) {
    stopped = stopped || (stop && stop());
    if (stopped) return;
    const auto first = static_cast<std::size_t>(some.data() - sequences.data());
    std::vector<std::int64_t> lengths;
    for (std::size_t s = 0; s < some.size(); ++s) {
      lengths.push_back(some[s].length());
      scores[first + s].targets = some[s].target_count();
    }
    activity.advance(static_cast<double>(some.size()));
    const ShardedBatch batch = shard_batch(some, info.rank, info.ranks);
    if (batch.targets() == 0) return;
    const auto losses = model.losses_by_rank(model.score(batch));
    const auto shards = shard_sequences(lengths, info.ranks);
    for (std::size_t q = 0; q < shards.size(); ++q) {
      auto next = losses[q].begin();
      for (const std::size_t s : shards[q]) {
        SequenceScore& score = scores[first + s];
        for (std::int64_t i = 0; i < score.targets; ++i) score.loss += *next++;
      }
    }
  });
  if (stopped) scores.clear();
  return scores;
}

}  // namespace lomo
