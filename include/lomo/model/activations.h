#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/dist/vocabulary.h"

namespace lomo {

/// What forward keeps for backward: every intermediate that backward reads (`none`), or the input
/// of every k-th block alone. Then backward runs the forwards of k blocks again before it goes
/// through them; `block` is k = 1.
struct Recompute {
  std::int64_t blocks = 1;  // k; 0: none
  static const Recompute none, block;

  bool on() const { return blocks > 0; }
  /// The lowest of the blocks that are recomputed together with block l.
  std::size_t first_with(std::size_t l) const {
    return on() ? l - l % static_cast<std::size_t>(blocks) : l;
  }
  bool keeps_input(std::size_t l) const { return first_with(l) == l; }
  bool operator==(Recompute const&) const = default;
};
inline constexpr Recompute Recompute::none{0}, Recompute::block{1};

/// Rows that carry loss, of all ranks, in the order in which the head has them: chunk after chunk,
/// within a chunk rank after rank. Alone, one chunk: the batch's own.
struct LossRows {
  struct Chunk {
    std::int64_t first = 0;            // row of the head
    std::vector<std::int64_t> counts;  // of each rank
    std::int64_t mine = 0;             // first of this rank's own N' rows
    std::int64_t rows = 0;             // sum of counts
  };
  std::vector<Chunk> chunks;
  Buffer targets;                     // (A) i32
  std::int64_t count = 0;             // A, N' of all ranks together
  std::vector<std::int64_t> of_rank;  // (R) N' of each
};

/// A batch in engine memory. Lists as in data/batch.h.
struct DeviceBatch {
  Buffer tokens, positions, starts;          // (N), (N), (S+1) i32
  Buffer loss_rows;                          // (N') i32
  Buffer loss_starts, loss_positions;        // (S+1), (N') i32
  Buffer unique_ids, id_order, id_segments;  // (U), (N), (U+1) i32
  std::int64_t longest = 0, loss_longest = 0;
  LossRows all_loss_rows;
  std::vector<std::int64_t> rows_of_rank;  // (R) N of each
  std::optional<RankIds> rank_ids;         // none alone
  Sequences sequences() const { return {starts, positions, longest}; }
  /// The rows that carry loss, as queries of the last block.
  Sequences loss_sequences() const { return {loss_starts, loss_positions, loss_longest}; }
};

/// What backward reads of one block. Between forward and backward, with recomputation, only `x`,
/// and that only of every k-th block. M = N, or N' in a last block that only rows with a target
/// leave.
struct BlockActivations {
  Buffer x;         // (N,C)   block input
  Buffer normed1;   // (N,C)   norm1(x)
  Buffer rstd1;     // (N) f32
  Buffer qkv;       // (N,(H+2G)D) q and k after rope; where M < N only k and v, (N,2GD)
  Buffer q;         // (M,HD)  where M < N, else empty: q is in qkv
  Buffer attended;  // (M,HD)
  Buffer lse;       // (M,H) f32
  Buffer mid;       // (M,C)   x + attention
  Buffer normed2;   // (M,C)   norm2(mid)
  Buffer rstd2;     // (M) f32
  Buffer gate_up;   // (M,2F)
  Buffer act;       // (M,F)   silu(gate) * up
  bool complete() const { return static_cast<bool>(act); }
};

/// What backward reads of the head. Only rows that carry loss enter it, those of all ranks: A of
/// them, alone N'. V are the rows of the vocabulary that this rank owns.
struct HeadActivations {
  Buffer x;       // (N',C)  rows of the last block's output
  Buffer rstd;    // (N') f32
  Buffer normed;  // (A,C)  final norm
  Buffer lse;     // (A) f32
  Buffer loss;    // (A) f32, nats
  Buffer logits;  // (A,V) f32, only when they fit HeadOptions::keep_logits_bytes
};

/// One forward pass and what it left for backward.
struct Pass {
  DeviceBatch batch;
  Recompute recompute = Recompute::block;
  /// Whether the last block ran its queries and MLP on the rows that carry loss alone.
  bool last_on_loss_rows = false;
  std::vector<BlockActivations> blocks;  // L
  HeadActivations head;
  std::int64_t rows = 0;       // N
  std::int64_t loss_rows = 0;  // N'
  std::int64_t all_loss_rows() const { return batch.all_loss_rows.count; }
};

/// Where a backward stands.
struct BackwardPoint {
  std::int64_t below = 0;  // blocks still to come
  Buffer d;  // (N,C) gradient of their output; of the N' loss rows where only those left
};

/// Keys (after rope) and values of the tokens so far, for generation. One sequence.
struct KeyValueCache {
  std::vector<Buffer> keys;    // L of (capacity, GD)
  std::vector<Buffer> values;  // L of (capacity, GD)
  std::int64_t used = 0;
};

}  // namespace lomo
