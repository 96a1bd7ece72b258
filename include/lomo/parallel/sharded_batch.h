#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/data/batch.h"

namespace lomo {

/// The batch of one step, sharded by sequences (data parallelism). All ranks draw the same global
/// batch and cut it in the same way. So each knows of the others what exchanges need, and no rank
/// asks another for it.
struct ShardedBatch {
  /// What other ranks need to know of a rank's shard.
  struct Shard {
    std::int64_t rows = 0;                 // N
    std::vector<std::int32_t> targets;     // (N')
    std::vector<std::int32_t> unique_ids;  // (U) ascending
  };
  ShardedBatch() = default;
  /// A batch that is whole here: rank 0 of 1.
  ShardedBatch(Batch whole);

  Batch mine;
  int rank = 0;
  std::vector<Shard> shards;  // (R) of every rank, this one too

  int ranks() const { return static_cast<int>(shards.size()); }
  /// Of all ranks.
  std::int64_t tokens() const;
  std::int64_t targets() const;
};

/// How sequences of these lengths are sharded so that tokens are balanced: the longest first, each
/// to the rank with the fewest tokens so far (of equals the first). For each rank the indices of
/// its sequences, ascending; some may get none.
std::vector<std::vector<std::size_t>> shard_sequences(std::vector<std::int64_t> const& lengths,
                                                      int ranks);
/// The shard of one rank.
ShardedBatch shard_batch(std::span<SequenceView const> global, int rank, int ranks);
/// Where every rank has a batch like `mine`: for dry runs of a rank that nobody has more than.
ShardedBatch replicated_batch(Batch mine, int rank, int ranks);
/// Of batches that only their own rank knows (generation), by host collectives. Blocks.
ShardedBatch gather_batch(Communicator& ranks, Batch mine);

/// Rows that carry loss, of all ranks, in the order in which the head has them: chunk after chunk,
/// within a chunk rank after rank. A group of one has one chunk, the batch's own rows.
struct LossRows {
  struct Chunk {
    std::int64_t first = 0;            // row of the head
    std::vector<std::int64_t> counts;  // of each rank
    std::int64_t mine = 0;             // first of this rank's own N' rows
    std::int64_t rows = 0;             // sum of counts
  };
  std::vector<Chunk> chunks;
  std::vector<std::int32_t> targets;  // (A)
  std::vector<std::int64_t> of_rank;  // (R) N' of each
  std::int64_t count() const { return static_cast<std::int64_t>(targets.size()); }  // A
};
/// `share`: rows of each rank that go through the head at once.
LossRows loss_rows(ShardedBatch const& batch, std::int64_t share);

}  // namespace lomo
