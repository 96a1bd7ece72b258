#pragma once
#include <cstdint>
#include <vector>

#include "kernels.h"
#include "lomo/backend/ops.h"

namespace lomo::cpu {

/// Rows [first, first + count) of one sequence, cut from its start: where a chunk begins does not
/// depend on the other sequences of the batch.
struct Chunk {
  std::int64_t sequence, first, count;
};

/// All chunks of at most `rows` rows, the late ones of a sequence first: under a causal mask late
/// queries (and early keys) have the most work.
inline std::vector<Chunk> cut_chunks(Sequences const& sequences, std::int64_t rows) {
  std::int32_t const* const starts = sequences.starts.data<std::int32_t>();
  std::vector<Chunk> chunks;
  for (std::int64_t s = 0; s < sequences.count(); ++s) {
    const std::int64_t end = starts[s + 1];
    for (std::int64_t first = starts[s]; first < end; first += rows) {
      chunks.push_back({s, first, end - first < rows ? end - first : rows});
    }
  }
  return chunks;
}

/// The window of the kernels.
inline std::int32_t window_of(Heads const& heads) {
  if (heads.window == 0 || heads.window > kNoWindow) return kNoWindow;
  return static_cast<std::int32_t>(heads.window);
}

}  // namespace lomo::cpu
