#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "lomo/core/tensor.h"
#include "lomo/parallel/ownership.h"
#include "lomo/parallel/sharded_batch.h"

namespace lomo {

/// The distinct token ids of every rank's batch, which all ranks know. Rows of the embedding are
/// sent by them: to the ranks that ask, and their gradients back.
class RankIds {
 public:
  RankIds() = default;
  explicit RankIds(ShardedBatch const& batch);
  /// Of rank 0, then of rank 1, and so on.
  std::vector<std::int32_t> const& all() const { return all_; }
  /// Where `all()` lies in engine memory, i32.
  void set_engine(Tensor all) { on_engine_ = all; }

  std::span<std::int32_t const> of(int rank) const;
  /// Which of a rank's ids lie in these rows of the vocabulary: a range of of(rank).
  RowRange within(int rank, RowRange rows) const;
  /// Such a range in engine memory, i32.
  Tensor on_engine(int rank, RowRange range) const;
  /// The most ids of all ranks together that `rows` rows of the vocabulary can hold.
  std::int64_t maximum(std::int64_t rows) const;

 private:
  std::vector<std::int32_t> all_;
  std::vector<std::size_t> begins_{0};  // (R+1) of each rank's in all_
  Tensor on_engine_;                    // (sum of U) i32
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

/// The rows of the embedding that ranks ask rank info.rank for, counted from the first that it
/// owns: tile after tile of `rows` rows, within a tile rank after rank.
std::vector<std::int32_t> asked_rows(RankIds const& ids, RankInfo info, std::int64_t vocabulary,
                                     std::int64_t rows);

/// What a rank looks up to embed its tokens; a group of one needs neither list.
struct LookupLists {
  std::vector<std::int32_t> token_rows;  // (N) where each token's id stands among the distinct ids
  std::vector<std::int32_t> asked;       // asked_rows, and zeros: as long whatever the ids are
};
LookupLists lookup_lists(ShardedBatch const& batch, RankIds const& ids, std::int64_t vocabulary,
                         std::int64_t rows);

}  // namespace lomo
