#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

namespace lomo::tokenizers {

/// Which bytes of a text became which bytes of what a stage made of it, found by comparing the two:
/// equal characters stand for each other, U+2581 for a space, and what lies between (an accent that
/// NFC composed, a space put in front) for what lies between.
class Alignment {
 public:
  /// Both well-formed UTF-8.
  Alignment(std::string_view from, std::string_view to);

  /// The byte of `from` at which what begins or ends at the byte `at` of `to` begins or ends.
  /// Inside of what was rewritten: where that begins or ends.
  std::size_t begin(std::size_t at) const { return begins_.empty() ? at : begins_[at]; }
  std::size_t end(std::size_t at) const { return ends_.empty() ? at : ends_[at]; }

 private:
  std::vector<std::size_t> begins_, ends_;  // by byte of `to`; empty: both texts are the same
};

}  // namespace lomo::tokenizers
