#include "lomo/parallel/sharded_batch.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lomo {

namespace {

ShardedBatch::Shard shard_of(Batch const& batch) {
  return {batch.rows(), batch.targets, batch.unique_ids};
}

/// A shard as one list, for a host collective: rows, N', targets, ids.
std::vector<std::int32_t> packed(ShardedBatch::Shard const& shard) {
  std::vector<std::int32_t> list{static_cast<std::int32_t>(shard.rows),
                                 static_cast<std::int32_t>(shard.targets.size())};
  list.insert(list.end(), shard.targets.begin(), shard.targets.end());
  list.insert(list.end(), shard.unique_ids.begin(), shard.unique_ids.end());
  return list;
}

ShardedBatch::Shard unpacked(std::span<std::int32_t const> list) {
  const auto targets = list.subspan(2, static_cast<std::size_t>(list[1]));
  const auto ids = list.subspan(2 + targets.size());
  return {list[0], {targets.begin(), targets.end()}, {ids.begin(), ids.end()}};
}

}  // namespace

ShardedBatch::ShardedBatch(Batch whole) : mine(std::move(whole)), shards{shard_of(mine)} {}

std::int64_t ShardedBatch::tokens() const {
  std::int64_t sum = 0;
  for (Shard const& shard : shards) sum += shard.rows;
  return sum;
}

std::int64_t ShardedBatch::targets() const {
  std::int64_t sum = 0;
  for (Shard const& shard : shards) sum += static_cast<std::int64_t>(shard.targets.size());
  return sum;
}

std::vector<std::vector<std::size_t>> shard_sequences(std::vector<std::int64_t> const& lengths,
                                                      int ranks) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
  std::vector<std::vector<std::size_t>> shards(static_cast<std::size_t>(ranks));
  std::vector<std::int64_t> tokens(shards.size(), 0);
  for (const std::size_t index : order) {
    const auto minimum = std::min_element(tokens.begin(), tokens.end());
    *minimum += lengths[index];
    shards[static_cast<std::size_t>(minimum - tokens.begin())].push_back(index);
  }
  for (auto& shard : shards) std::sort(shard.begin(), shard.end());
  return shards;
}

ShardedBatch shard_batch(std::span<SequenceView const> global, int rank, int ranks) {
  std::vector<std::int64_t> lengths;
  for (SequenceView const& sequence : global) lengths.push_back(sequence.length());
  ShardedBatch sharded;
  sharded.rank = rank;
  for (auto const& indices : shard_sequences(lengths, ranks)) {
    std::vector<SequenceView> sequences;
    for (const std::size_t i : indices) sequences.push_back(global[i]);
    Batch batch = make_batch(sequences);
    sharded.shards.push_back(shard_of(batch));
    if (sharded.ranks() == rank + 1) sharded.mine = std::move(batch);
  }
  return sharded;
}

ShardedBatch replicated_batch(Batch mine, int rank, int ranks) {
  ShardedBatch sharded;
  sharded.shards.assign(static_cast<std::size_t>(ranks), shard_of(mine));
  sharded.mine = std::move(mine);
  sharded.rank = rank;
  return sharded;
}

ShardedBatch gather_batch(Communicator& ranks, Batch mine) {
  if (ranks.size() == 1) return mine;
  ShardedBatch sharded;
  sharded.rank = ranks.rank();
  std::vector<std::int32_t> list = packed(shard_of(mine));
  const std::vector<std::size_t> lengths = ranks.all_gather_host(list.size());
  const std::size_t longest = std::ranges::max(lengths);
  list.resize(longest);
  std::vector<std::int32_t> all(longest * lengths.size());
  ranks.all_gather_host(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(list)));
  for (std::size_t q = 0; q < lengths.size(); ++q) {
    sharded.shards.push_back(unpacked(std::span(all).subspan(q * longest, lengths[q])));
  }
  sharded.mine = std::move(mine);
  return sharded;
}

LossRows loss_rows(ShardedBatch const& batch, std::int64_t share) {
  LossRows rows;
  std::size_t longest = 0;
  for (ShardedBatch::Shard const& shard : batch.shards) {
    longest = std::max(longest, shard.targets.size());
    rows.of_rank.push_back(static_cast<std::int64_t>(shard.targets.size()));
  }
  const auto all = static_cast<std::int64_t>(longest);
  const std::int64_t at_once = batch.ranks() == 1 ? std::max<std::int64_t>(all, 1) : share;
  std::int64_t first = 0;  // of each rank's
  do {
    LossRows::Chunk chunk{rows.count(), {}, 0, 0};
    for (ShardedBatch::Shard const& shard : batch.shards) {
      const auto size = static_cast<std::int64_t>(shard.targets.size());
      const std::int64_t begin = std::min(first, size), end = std::min(first + at_once, size);
      rows.targets.insert(rows.targets.end(), shard.targets.begin() + begin,
                          shard.targets.begin() + end);
      chunk.counts.push_back(end - begin);
      chunk.rows += end - begin;
    }
    chunk.mine = std::min(first, rows.of_rank[static_cast<std::size_t>(batch.rank)]);
    rows.chunks.push_back(std::move(chunk));
    first += at_once;
  } while (first < all);
  return rows;
}

}  // namespace lomo
