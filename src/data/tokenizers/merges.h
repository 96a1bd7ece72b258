#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "document.h"

namespace lomo::tokenizers {

/// Which pairs of neighbours become one piece, and in which order. A word is merged by always
/// taking the pair of lowest rank, of equal ones the leftmost.
class Merges {
 public:
  struct Scratch {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> ranks, previous, next;
    std::vector<std::uint64_t> heap;
  };

  /// Throws Error(Exit::data) naming the merge whose parts or whole are no pieces.
  Merges(Document const& document, Pieces const& vocab);

  /// Appends to `ids` what is left of `symbols` (changed) when nothing can be merged any more.
  void apply(std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& ids,
             Scratch& scratch) const;

  /// The merge's rank, kNone where there is none.
  std::uint32_t rank(std::int32_t left, std::int32_t right) const;
  static constexpr std::uint32_t kNone = UINT32_MAX;

 private:
  struct Slot {
    std::uint64_t pair = UINT64_MAX;
    std::uint32_t rank = kNone;
  };
  void put(std::int32_t left, std::int32_t right, std::uint32_t rank);
  void apply_short(std::vector<std::int32_t>& symbols, std::vector<std::uint32_t>& ranks) const;
  void apply_long(std::vector<std::int32_t>& symbols, Scratch& scratch) const;

  std::vector<Slot> slots_;             // open addressing; a power of two of them
  std::vector<std::int32_t> products_;  // by rank
};

}  // namespace lomo::tokenizers
