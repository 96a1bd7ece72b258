#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lomo::tokenizers {

/// The ids of words that were encoded before; of bounded size. Of one thread.
class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 64;  // bytes

  WordCache();
  /// Null when the word is not there.
  std::span<std::int32_t const> const* find(std::string_view word, std::uint64_t hash);
  void add(std::string_view word, std::uint64_t hash, std::span<std::int32_t const> ids);

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t word = 0, ids = 0;  // where they begin
    std::uint16_t length = 0, count = 0;
  };
  void clear();

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<std::int32_t> ids_;
  std::size_t used_ = 0;
  std::span<std::int32_t const> found_;
};

}  // namespace lomo::tokenizers
