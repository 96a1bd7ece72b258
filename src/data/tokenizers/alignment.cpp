#include "alignment.h"

#include <utility>

#include "../text.h"

namespace lomo::tokenizers {

namespace {

constexpr std::string_view kWordBoundary = "\xE2\x96\x81";  // U+2581
constexpr std::size_t kFarthest = 64;                       // bytes that are rewritten in one place
constexpr int kAgreeing = 4;                                // characters that show the end of it

std::size_t character_end(std::string_view text, std::size_t at) {
  do ++at;
  while (!starts_character(text, at));
  return at;
}

/// Two places, in the text and in what was made of it.
struct Pair {
  std::string_view from, to;
  std::size_t i = 0, j = 0;

  bool ended() const { return i == from.size() && j == to.size(); }
  bool inside() const { return i < from.size() && j < to.size(); }

  /// Goes on by a character that stands for one of the other text; whether there is one.
  bool advance() {
    if (!inside()) return false;
    const std::size_t i_end = character_end(from, i);
    const std::size_t j_end = character_end(to, j);
    const std::string_view left = from.substr(i, i_end - i);
    const std::string_view right = to.substr(j, j_end - j);
    if (left != right && !(left == " " && right == kWordBoundary)) return false;
    i = i_end;
    j = j_end;
    return true;
  }

  bool agrees() const {
    Pair ahead = *this;
    for (int n = 0; n < kAgreeing && !ahead.ended(); ++n) {
      if (!ahead.advance()) return false;
    }
    return true;
  }

  /// The nearest pair of places behind this one from which the texts agree, or both ends.
  Pair next_agreement() const {
    for (std::size_t apart = 1; apart <= kFarthest; ++apart) {
      for (std::size_t more = 0; more <= apart; ++more) {
        const Pair there{from, to, i + more, j + (apart - more)};
        if (there.i > from.size() || there.j > to.size()) continue;
        if (!starts_character(from, there.i) || !starts_character(to, there.j)) continue;
        if (there.agrees()) return there;
      }
    }
    return {from, to, from.size(), to.size()};
  }
};

}  // namespace

Alignment::Alignment(std::string_view from, std::string_view to) {
  if (from == to) return;
  begins_.resize(to.size() + 1);
  ends_.resize(to.size() + 1);
  for (Pair at{from, to}; !at.ended();) {
    Pair next = at;
    if (!next.advance()) next = at.next_agreement();
    const bool same = next.i - at.i == next.j - at.j;
    for (std::size_t k = at.j + 1; k < next.j; ++k) {
      begins_[k] = same ? at.i + (k - at.j) : at.i;
      ends_[k] = same ? at.i + (k - at.j) : next.i;
    }
    begins_[next.j] = ends_[next.j] = next.i;
    at = next;
  }
}

}  // namespace lomo::tokenizers
