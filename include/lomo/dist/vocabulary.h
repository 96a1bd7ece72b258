#pragma once
#include <cstdint>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/dist/ownership.h"

namespace lomo {

/// The distinct token ids of every rank's batch, which all ranks know. Rows of the embedding are
/// sent by them: to the ranks that ask, and their gradients back.
class RankIds {
 public:
  /// `mine`: the ids of this rank, ascending. Blocks.
  RankIds(Backend& backend, Communicator& ranks, std::vector<std::int32_t> const& mine);

  std::vector<std::int32_t> const& of(int rank) const {
    return ids_[static_cast<std::size_t>(rank)];
  }
  /// Which of a rank's ids lie in these rows of the vocabulary: a range of of(rank).
  RowRange within(int rank, RowRange rows) const;
  /// Such a range in engine memory, i32.
  Tensor on_engine(int rank, RowRange range) const;
  /// The most ids of all ranks together that `rows` rows of the vocabulary can hold.
  std::int64_t maximum(std::int64_t rows) const;

 private:
  std::vector<std::vector<std::int32_t>> ids_;  // by rank
  std::vector<std::int64_t> begins_;            // of each rank's in all_
  Buffer all_;                                  // (sum of U) i32
};

/// Row tile k of the vocabulary, as ranks exchange it: rows [k t, (k + 1) t) of every owner.
/// Symmetric: what one rank counts as asked of it another counts as its own.
struct VocabularyTile {
  VocabularyTile(RankIds const& ids, RankInfo info, std::int64_t vocabulary, std::int64_t rows,
                 std::int64_t k);
  RowRange here;                // rows of the vocabulary that this rank owns of it
  std::vector<RowRange> asked;  // of each rank's ids, those that lie here
  std::vector<RowRange> mine;   // of this rank's ids, those that each rank owns
  std::vector<std::int64_t> asked_counts, mine_counts;
};

}  // namespace lomo
