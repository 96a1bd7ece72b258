#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "lomo/backend/communicator.h"

namespace lomo {

/// Rows [first, first + count) of a tensor.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t end() const { return first + count; }
  bool operator==(RowRange const&) const = default;
};

/// Which of how many ranks.
struct RankInfo {
  int rank = 0;
  int ranks = 1;  // R
};
inline RankInfo rank_info(Communicator const& ranks) {
  return {ranks.rank(), ranks.size()};
}

/// The rows of a tensor of `rows` rows that rank q of R owns: [q S, min((q + 1) S, rows)) with
/// S = ceil(rows / R). The last blocks may be short or empty.
inline RowRange owned_rows(std::int64_t rows, int rank, int ranks) {
  const std::int64_t block = (rows + ranks - 1) / ranks;
  const std::int64_t first = std::min(rank * block, rows);
  return {first, std::min(block, rows - first)};
}

/// How many of them each rank owns.
inline std::vector<std::int64_t> owned_counts(std::int64_t rows, int ranks) {
  std::vector<std::int64_t> counts;
  for (int q = 0; q < ranks; ++q) counts.push_back(owned_rows(rows, q, ranks).count);
  return counts;
}

/// Row tile k of what a rank owns: its rows [k t, (k + 1) t), of which the last may have few or
/// none.
inline RowRange tile_rows(RowRange owned, std::int64_t t, std::int64_t k) {
  const std::int64_t first = std::min(k * t, owned.count);
  return {owned.first + first, std::min(t, owned.count - first)};
}

}  // namespace lomo
