#pragma once
#include <cstdint>
#include <vector>

#include "hash.h"

namespace lomo::tokenizers {

/// Pairs of characters. It may take a pair for one that was added, never the other way: the texts'
/// own characters are few, and a clash only keeps a text whole.
class CharacterPairs {
 public:
  void add(char32_t left, char32_t right) { bits_[place(left, right)] = true; }
  bool has(char32_t left, char32_t right) const { return bits_[place(left, right)]; }

 private:
  static constexpr std::size_t kBits = std::size_t{1} << 20;
  static std::size_t place(char32_t left, char32_t right) {
    // Each character in 21 bits.
    return hash_of((static_cast<std::uint64_t>(left) << 21) | right) % kBits;
  }
  std::vector<bool> bits_ = std::vector<bool>(kBits);
};

}  // namespace lomo::tokenizers
