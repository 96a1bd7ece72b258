#include "lomo/train/scoring.h"

#include <cstddef>

namespace lomo {

void for_each_scored_batch(std::span<Sequence const> sequences, std::int64_t max_tokens,
                           std::function<void(std::span<Sequence const>)> const& use) {
  std::size_t first = 0;
  while (first < sequences.size()) {
    std::size_t end = first;
    std::int64_t tokens = 0;
    while (end < sequences.size()) {
      const auto length = static_cast<std::int64_t>(sequences[end].tokens.size());
      if (end > first && tokens + length > max_tokens) break;
      tokens += length;
      ++end;
    }
    use(sequences.subspan(first, end - first));
    first = end;
  }
}

std::vector<SequenceScore> score_sequences(Llama& model, std::span<Sequence const> sequences,
                                           std::int64_t max_tokens) {
  std::vector<SequenceScore> scores(sequences.size());
  for_each_scored_batch(sequences, max_tokens, [&](std::span<Sequence const> some) {
    const Batch batch = make_batch(some);
    if (batch.loss_count() == 0) return;
    const std::vector<float> losses = model.losses(batch);
    const auto first = static_cast<std::size_t>(some.data() - sequences.data());
    for (std::size_t s = 0; s + 1 < batch.loss_starts.size(); ++s) {
      SequenceScore& score = scores[first + s];
      const auto from = static_cast<std::size_t>(batch.loss_starts[s]);
      const auto to = static_cast<std::size_t>(batch.loss_starts[s + 1]);
      for (std::size_t i = from; i < to; ++i) score.loss += losses[i];
      score.targets = static_cast<std::int64_t>(to - from);
    }
  });
  return scores;
}

}  // namespace lomo
