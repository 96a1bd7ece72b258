#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace lomo {

/// One training or evaluation sequence. targets[i] is the token to predict at position i, or
/// kNoTarget where no loss is wanted (the shift by one is already done).
struct Sequence {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;
};
inline constexpr std::int32_t kNoTarget = -100;

/// A sequence in memory that another owns, and keeps.
struct SequenceView {
  std::span<std::int32_t const> tokens, targets;  // of one length
  SequenceView() = default;
  SequenceView(std::span<std::int32_t const> all, std::span<std::int32_t const> wanted)
      : tokens(all), targets(wanted) {}
  SequenceView(Sequence const& sequence) : tokens(sequence.tokens), targets(sequence.targets) {}
  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  /// How many positions have a target.
  std::int64_t target_count() const;
};

/// From ids [x0 x1 ... xn]: tokens x0..x(n-1), targets x1..xn, with targets kept only for the ids
/// at index >= loss_from (index into `ids`). Fewer than two ids give an empty sequence.
Sequence make_sequence(std::span<std::int32_t const> ids, std::size_t loss_from);

/// Sequences laid end to end, no padding, with every list the engine needs made on the host.
/// N tokens, N' of them with a target, S sequences, U distinct ids.
struct Batch {
  std::vector<std::int32_t> tokens;     // (N)
  std::vector<std::int32_t> positions;  // (N), 0 at the start of each sequence
  std::vector<std::int32_t> starts;     // (S+1)
  std::int64_t longest = 0;

  std::vector<std::int32_t> loss_rows;  // (N') rows that have a target, ascending
  std::vector<std::int32_t> targets;    // (N') their targets
  // The rows of the last block's queries: those of loss_rows, sequence by sequence.
  std::vector<std::int32_t> loss_starts;     // (S+1) into loss_rows
  std::vector<std::int32_t> loss_positions;  // (N')
  std::int64_t loss_longest = 0;

  std::vector<std::int32_t> unique_ids;   // (U) ascending
  std::vector<std::int32_t> id_order;     // (N) rows grouped by id, batch order within an id
  std::vector<std::int32_t> id_segments;  // (U+1) into id_order

  std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t loss_count() const { return static_cast<std::int64_t>(loss_rows.size()); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(starts.size()) - 1; }
};

/// Empty sequences are legal and keep their place.
Batch make_batch(std::span<SequenceView const> sequences);
Batch make_batch(std::span<Sequence const> sequences);

}  // namespace lomo
