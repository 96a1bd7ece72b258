#pragma once
#include <cstdint>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/parallel/sharded_batch.h"
#include "lomo/parallel/vocabulary.h"

namespace lomo {

/// What forward keeps for backward: every intermediate that backward reads (`none`), or the input
/// of every k-th block alone. Then backward runs the forwards of k blocks again before it goes
/// through them; `block` is k = 1. Of the `upper` blocks next to the head every intermediate is
/// kept in any case: the first that backward needs, and gives back.
struct Recompute {
  std::int64_t blocks = 1;  // k; 0: none
  std::int64_t upper = 0;
  static const Recompute none, block;

  bool on() const { return blocks > 0; }
  /// Whether all of block l, of so many, is kept.
  bool keeps_all(std::size_t l, std::size_t layers) const {
    return !on() || l + static_cast<std::size_t>(upper) >= layers;
  }
  /// The lowest of the blocks that are recomputed together with block l.
  std::size_t first_with(std::size_t l) const {
    return on() ? l - l % static_cast<std::size_t>(blocks) : l;
  }
  bool keeps_input(std::size_t l) const { return first_with(l) == l; }
  bool operator==(Recompute const&) const = default;
};
inline constexpr Recompute Recompute::none{0, 0}, Recompute::block{1, 0};

/// A batch in engine memory, in one block of i32 that goes up at once. Lists as in data/batch.h.
struct DeviceBatch {
  Buffer lists;                        // all below, each beginning where 16 bytes do
  Tensor tokens, positions, starts;    // (N), (N), (S+1)
  Tensor loss_rows;                    // (N')
  Tensor loss_starts, loss_positions;  // (S+1), (N')
  Tensor id_order, id_segments;        // (N), (U+1)
  Tensor all_targets;                  // (A) of all ranks, in the order of all_loss_rows
  Tensor token_rows, asked_rows;       // of several ranks: see EmbeddingLookup
  RankIds ids;                         // (U) of every rank
  std::int64_t longest = 0, loss_longest = 0;
  LossRows all_loss_rows;
  std::vector<std::int64_t> rows_of_rank;  // (R) N of each
  RankInfo info;

  Tensor unique_ids() const {  // (U) of this rank
    const auto mine = static_cast<std::int64_t>(ids.of(info.rank).size());
    return ids.on_engine(info.rank, {0, mine});
  }
  Sequences sequences() const { return {starts, positions, longest}; }
  /// The rows that carry loss, as queries of the last block.
  Sequences loss_sequences() const { return {loss_starts, loss_positions, loss_longest}; }
};

/// What backward reads of one block. Between forward and backward, with recomputation, only `x`,
/// and that only of every k-th block. M = N, or N' in a last block that only rows with a target
/// leave.
struct BlockActivations {
  Buffer x;        // (N,C)   block input
  Buffer normed1;  // (N,C)   norm1(x)
  Buffer rstd1;    // (N) f32
  Buffer qkv;      // (N,(H+2G)D) q and k after rope; where M < N only k and v, (N,2GD)
  Buffer q;        // (M,HD)  where M < N, else empty: q is in qkv
  // Of models that norm the heads of q and k, which qkv and q have as they were before:
  Buffer normed_q, normed_k;  // (M,HD), (N,GD) after norm and rope
  Buffer rstd_q, rstd_k;      // (M H), (N G) f32
  Buffer attended;            // (M,HD)
  Buffer lse;                 // (M,H) f32
  Buffer mid;                 // (M,C)   x + attention
  Buffer normed2;             // (M,C)   norm2(mid)
  Buffer rstd2;               // (M) f32
  Buffer gate_up;             // (M,2F)
  Buffer act;                 // (M,F)   silu(gate) * up
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
  std::int64_t all_loss_rows() const { return batch.all_loss_rows.count(); }
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
