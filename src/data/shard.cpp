#include "lomo/data/shard.h"

#include <algorithm>
#include <numeric>

namespace lomo {

std::vector<std::vector<std::size_t>> shard_sequences(std::vector<std::int64_t> const& lengths,
                                                      int ranks) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
  std::vector<std::vector<std::size_t>> shares(static_cast<std::size_t>(ranks));
  std::vector<std::int64_t> tokens(shares.size(), 0);
  for (const std::size_t index : order) {
    const auto minimum = std::min_element(tokens.begin(), tokens.end());
    *minimum += lengths[index];
    shares[static_cast<std::size_t>(minimum - tokens.begin())].push_back(index);
  }
  for (auto& share : shares) std::sort(share.begin(), share.end());
  return shares;
}

Batch shard_batch(std::span<SequenceView const> global, int rank, int ranks) {
  std::vector<std::int64_t> lengths;
  for (SequenceView const& sequence : global) lengths.push_back(sequence.length());
  const auto shares = shard_sequences(lengths, ranks);
  std::vector<SequenceView> mine;
  for (const std::size_t i : shares[static_cast<std::size_t>(rank)]) mine.push_back(global[i]);
  return make_batch(mine);
}

}  // namespace lomo
