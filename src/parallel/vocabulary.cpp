#include "lomo/parallel/vocabulary.h"

#include <algorithm>

namespace lomo {

RankIds::RankIds(ShardedBatch const& batch) {
  for (ShardedBatch::Shard const& shard : batch.shards) {
    all_.insert(all_.end(), shard.unique_ids.begin(), shard.unique_ids.end());
    begins_.push_back(all_.size());
  }
}

std::span<std::int32_t const> RankIds::of(int rank) const {
  const auto q = static_cast<std::size_t>(rank);
  return std::span(all_).subspan(begins_[q], begins_[q + 1] - begins_[q]);
}

RowRange RankIds::within(int rank, RowRange rows) const {
  const auto list = of(rank);
  const auto first = std::lower_bound(list.begin(), list.end(), rows.first);
  const auto end = std::lower_bound(first, list.end(), rows.end());
  return {first - list.begin(), end - first};
}

Tensor RankIds::on_engine(int rank, RowRange range) const {
  const auto begin = static_cast<std::int64_t>(begins_[static_cast<std::size_t>(rank)]);
  return on_engine_.row_block(begin + range.first, range.count);
}

std::int64_t RankIds::maximum(std::int64_t rows) const {
  std::int64_t sum = 0;
  for (std::size_t q = 0; q + 1 < begins_.size(); ++q) {
    sum += std::min(rows, static_cast<std::int64_t>(begins_[q + 1] - begins_[q]));
  }
  return sum;
}

VocabularyTile::VocabularyTile(RankIds const& ids, RankInfo info, std::int64_t vocabulary,
                               std::int64_t rows, std::int64_t k) {
  const auto of_owner = [&](int owner) {
    return tile_rows(owned_rows(vocabulary, owner, info.ranks), rows, k);
  };
  here = of_owner(info.rank);
  for (int q = 0; q < info.ranks; ++q) {
    asked.push_back(ids.within(q, here));
    mine.push_back(ids.within(info.rank, of_owner(q)));
    asked_counts.push_back(asked.back().count);
    mine_counts.push_back(mine.back().count);
  }
}

std::vector<std::int32_t> asked_rows(RankIds const& ids, RankInfo info, std::int64_t vocabulary,
                                     std::int64_t rows) {
  const RowRange owned = owned_rows(vocabulary, info.rank, info.ranks);
  std::vector<std::int32_t> asked;
  for (std::int64_t k = 0; k * rows < owned.count; ++k) {
    for (int q = 0; q < info.ranks; ++q) {
      const RowRange range = ids.within(q, tile_rows(owned, rows, k));
      for (const std::int32_t id : ids.of(q).subspan(static_cast<std::size_t>(range.first),
                                                     static_cast<std::size_t>(range.count))) {
        asked.push_back(id - static_cast<std::int32_t>(owned.first));
      }
    }
  }
  return asked;
}

LookupLists lookup_lists(ShardedBatch const& batch, RankIds const& ids, std::int64_t vocabulary,
                         std::int64_t rows) {
  LookupLists lists;
  if (batch.ranks() == 1) return lists;
  Batch const& mine = batch.mine;
  lists.token_rows.resize(mine.tokens.size());
  for (std::size_t u = 0; u + 1 < mine.id_segments.size(); ++u) {
    for (std::int32_t i = mine.id_segments[u]; i < mine.id_segments[u + 1]; ++i) {
      lists.token_rows[static_cast<std::size_t>(mine.id_order[static_cast<std::size_t>(i)])] =
          static_cast<std::int32_t>(u);
    }
  }
  lists.asked = asked_rows(ids, {batch.rank, batch.ranks()}, vocabulary, rows);
  lists.asked.resize(ids.all().size());
  return lists;
}

}  // namespace lomo
