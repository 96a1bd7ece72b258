#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/model/decoder.h"

namespace lomo {

/// How likely a model finds the targets of one sequence.
struct SequenceScore {
  double loss = 0;  // sum over its targets, nats: minus the log-probability
  std::int64_t targets = 0;
  double mean() const { return targets > 0 ? loss / static_cast<double>(targets) : 0; }
};

/// Cuts sequences into ragged batches filled up to `max_tokens` tokens (a longer sequence goes
/// alone), in order, and calls `use` with the sequences of each.
void for_each_scored_batch(std::span<SequenceView const> sequences, std::int64_t max_tokens,
                           std::function<void(std::span<SequenceView const>)> const& use);

/// Scores sequences in those batches. `stop` is asked before each, on ranks all of them alike; when
/// it says so nothing is returned.
std::vector<SequenceScore> score_sequences(Decoder& model, std::span<SequenceView const> sequences,
                                           std::int64_t max_tokens,
                                           std::function<bool()> const& stop = {});

}  // namespace lomo
