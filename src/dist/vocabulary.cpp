#include "lomo/dist/vocabulary.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "lomo/dist/gather_lists.h"

namespace lomo {

RankIds::RankIds(Backend& backend, Communicator& ranks, std::vector<std::int32_t> const& mine)
    : ids_(gather_lists(ranks, mine)) {
  std::vector<std::int32_t> all;
  for (auto const& list : ids_) {
    begins_.push_back(static_cast<std::int64_t>(all.size()));
    all.insert(all.end(), list.begin(), list.end());
  }
  all_ = backend.allocate(Shape(static_cast<std::int64_t>(all.size())), DType::i32,
                          Category::activations, "ids of all ranks");
  backend.upload(all_, std::as_bytes(std::span(all)));
}

RowRange RankIds::within(int rank, RowRange rows) const {
  auto const& list = of(rank);
  const auto first = std::lower_bound(list.begin(), list.end(), rows.first);
  const auto end = std::lower_bound(first, list.end(), rows.end());
  return {first - list.begin(), end - first};
}

Tensor RankIds::on_engine(int rank, RowRange range) const {
  return all_.tensor().row_block(begins_[static_cast<std::size_t>(rank)] + range.first,
                                 range.count);
}

std::int64_t RankIds::maximum(std::int64_t rows) const {
  return std::accumulate(ids_.begin(), ids_.end(), std::int64_t{0},
                         [rows](std::int64_t sum, auto const& list) {
                           return sum + std::min(rows, static_cast<std::int64_t>(list.size()));
                         });
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

}  // namespace lomo
