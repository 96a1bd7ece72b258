#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lomo::tokenizers {

/// Strings by id and ids by string, in flat tables. Ids are from 0 to kLargestId and may have gaps.
class Pieces {
 public:
  static constexpr std::int32_t kLargestId = (1 << 24) - 1;

  /// False when the string or the id is there already; nothing is changed then.
  bool add(std::string_view piece, std::int32_t id);
  /// The id of a string, -1 when it is no piece.
  std::int32_t find(std::string_view piece) const;
  bool has(std::int32_t id) const;
  /// Of an id that is there. Valid until the next add().
  std::string_view operator[](std::int32_t id) const;
  /// The greatest id and one.
  std::int64_t size() const { return static_cast<std::int64_t>(places_.size()); }
  std::size_t count() const { return count_; }

 private:
  struct Place {
    std::size_t begin = 0;
    std::uint32_t length = kAbsent;
  };
  struct Slot {
    std::uint32_t tag = 0;
    std::int32_t id = -1;
  };
  static constexpr std::uint32_t kAbsent = UINT32_MAX;

  void grow();

  std::string text_;  // of all pieces, end to end
  std::vector<Place> places_;
  std::vector<Slot> slots_;  // open addressing; a power of two of them
  std::size_t count_ = 0;
};

}  // namespace lomo::tokenizers
