#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lomo/data/batch.h"

namespace lomo {

/// How sequences of these lengths are shared out to ranks so that their tokens are balanced: the
/// longest first, each to the rank with the fewest tokens so far (of equals the first). For each
/// rank the indices of its sequences, ascending; some may get none.
std::vector<std::vector<std::size_t>> shard_sequences(std::vector<std::int64_t> const& lengths,
                                                      int ranks);

/// The batch of one rank: its share of the sequences of a global batch.
Batch shard_batch(std::span<SequenceView const> global, int rank, int ranks);

}  // namespace lomo
