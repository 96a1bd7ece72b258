#include "lomo/parallel/sharded_batch.h"

#include <numeric>

#include "lomo/parallel/vocabulary.h"
#include "support/catch.h"
#include "support/thread_ranks.h"

using namespace lomo;

namespace {

/// Sequences of these lengths with ids below 50; the first of each carries no loss.
std::vector<Sequence> sequences(std::vector<int> const& lengths) {
  std::vector<Sequence> all;
  std::int32_t next = 7;
  for (const int length : lengths) {
    Sequence sequence;
    for (int i = 0; i < length; ++i) {
      next = (next * 31 + 11) % 50;
      sequence.tokens.push_back(next);
      sequence.targets.push_back(i == 0 ? kNoTarget : (next + i) % 50);
    }
    all.push_back(std::move(sequence));
  }
  return all;
}

ShardedBatch shard(std::vector<Sequence> const& all, int rank, int ranks) {
  return shard_batch(std::vector<SequenceView>(all.begin(), all.end()), rank, ranks);
}

}  // namespace

TEST_CASE("every rank knows of the shards what the others hold") {
  const std::vector<Sequence> all = sequences({9, 4, 13, 1, 8, 2});
  for (const int ranks : {1, 2, 3, 8}) {
    std::int64_t tokens = 0, targets = 0;
    for (int q = 0; q < ranks; ++q) {
      const ShardedBatch own = shard(all, q, ranks);
      REQUIRE(own.rank == q);
      REQUIRE(own.ranks() == ranks);
      CHECK(own.tokens() == 37);
      CHECK(own.targets() == 31);
      tokens += own.mine.rows();
      targets += own.mine.loss_count();
      for (int p = 0; p < ranks; ++p) {
        const ShardedBatch::Shard seen = shard(all, p, ranks).shards[static_cast<std::size_t>(q)];
        CHECK(seen.rows == own.mine.rows());
        CHECK(seen.targets == own.mine.targets);
        CHECK(seen.unique_ids == own.mine.unique_ids);
      }
    }
    CHECK(tokens == 37);
    CHECK(targets == 31);
  }
}

TEST_CASE("a batch that its rank alone knows is gathered to the same shards") {
  const std::vector<Sequence> all = sequences({9, 4, 13, 1, 8, 2});
  for (const int ranks : {1, 3, 7}) {
    test::on_ranks(ranks, [&](Backend&, Communicator& communicator, int rank) {
      const ShardedBatch expected = shard(all, rank, ranks);
      const ShardedBatch gathered = gather_batch(communicator, expected.mine);
      REQUIRE(gathered.ranks() == ranks);
      CHECK(gathered.rank == rank);
      for (std::size_t q = 0; q < gathered.shards.size(); ++q) {
        CHECK(gathered.shards[q].rows == expected.shards[q].rows);
        CHECK(gathered.shards[q].targets == expected.shards[q].targets);
        CHECK(gathered.shards[q].unique_ids == expected.shards[q].unique_ids);
      }
      CHECK(communicator.host_collectives() == (ranks == 1 ? 0 : 2));
    });
  }
}

TEST_CASE("rows that carry loss go through the head in chunks, each row once") {
  const std::vector<Sequence> all = sequences({9, 4, 13, 1, 8, 2});
  for (const int ranks : {1, 2, 5}) {
    for (const std::int64_t share : {1, 3, 100}) {
      for (int rank = 0; rank < ranks; ++rank) {
        const ShardedBatch batch = shard(all, rank, ranks);
        const LossRows rows = loss_rows(batch, share);
        CHECK(rows.count() == 31);
        if (ranks == 1) CHECK(rows.chunks.size() == 1);
        std::vector<std::vector<std::int32_t>> targets(static_cast<std::size_t>(ranks));
        std::int64_t first = 0, mine = 0;
        for (LossRows::Chunk const& chunk : rows.chunks) {
          CHECK(chunk.first == first);
          CHECK(chunk.mine == std::min(mine, batch.mine.loss_count()));
          CHECK(chunk.rows ==
                std::accumulate(chunk.counts.begin(), chunk.counts.end(), std::int64_t{0}));
          for (std::size_t q = 0; q < targets.size(); ++q) {
            for (std::int64_t i = 0; i < chunk.counts[q]; ++i) {
              targets[q].push_back(rows.targets[static_cast<std::size_t>(first++)]);
            }
          }
          mine += ranks == 1 ? chunk.rows : share;
        }
        for (std::size_t q = 0; q < targets.size(); ++q) {
          CHECK(targets[q] == batch.shards[q].targets);
        }
      }
    }
  }
}

TEST_CASE("what ranks ask an owner for follows its tiles") {
  const std::vector<Sequence> all = sequences({9, 4, 13, 1, 8, 2});
  constexpr std::int64_t kVocabulary = 50, kTile = 6;
  for (int rank = 0; rank < 3; ++rank) {
    const RankIds ids(shard(all, rank, 3));
    const RowRange owned = owned_rows(kVocabulary, rank, 3);
    std::vector<std::int32_t> expected;
    for (std::int64_t k = 0; k * kTile < owned.count; ++k) {
      const VocabularyTile tile(ids, {rank, 3}, kVocabulary, kTile, k);
      for (int q = 0; q < 3; ++q) {
        const RowRange range = tile.asked[static_cast<std::size_t>(q)];
        for (std::int64_t i = range.first; i < range.end(); ++i) {
          const std::int32_t id = ids.of(q)[static_cast<std::size_t>(i)];
          CHECK(id >= owned.first);
          CHECK(id < owned.end());
          expected.push_back(id - static_cast<std::int32_t>(owned.first));
        }
      }
    }
    CHECK(asked_rows(ids, {rank, 3}, kVocabulary, kTile) == expected);
  }
}
