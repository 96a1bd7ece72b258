#pragma once
#include <cstdint>
#include <vector>

#include "lomo/backend/ops.h"

namespace lomo::cpu {

/// Rows [first, first + count) of one sequence, cut from its start: where a strip begins does not
/// depend on the other sequences of the batch.
struct Strip {
  std::int64_t sequence, first, count;
};

/// All strips of at most `rows` rows, the late ones of a sequence first: under a causal mask late
/// queries (and early keys) have the most work.
inline std::vector<Strip> cut_strips(Sequences const& sequences, std::int64_t rows) {
  std::int32_t const* const starts = sequences.starts.data<std::int32_t>();
  std::vector<Strip> strips;
  for (std::int64_t s = 0; s < sequences.count(); ++s) {
    const std::int64_t end = starts[s + 1];
    for (std::int64_t first = starts[s]; first < end; first += rows) {
      strips.push_back({s, first, end - first < rows ? end - first : rows});
    }
  }
  return strips;
}

}  // namespace lomo::cpu
