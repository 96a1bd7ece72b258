#pragma once
#include <memory>
#include <string_view>

namespace lomo::tokenizers {

/// What a pattern says about places at which a text may be cut without a change of its matches: the
/// characters that may stand side by side within a match. Known for patterns without anchors and
/// look-behind, whose look-ahead is of one character; of others it says that nothing may be cut.
class MatchShape {
 public:
  /// The pattern as PCRE2 is given it.
  explicit MatchShape(std::string_view pattern);
  ~MatchShape();
  MatchShape(MatchShape&&) noexcept;

  /// No match has `right` behind `left`, nor looks ahead from `left` to what follows: the matches
  /// before the place and those behind it do not depend on each other.
  bool may_cut(char32_t left, char32_t right) const;
  /// Wherever a match does not reach over it, a match begins at this character.
  bool begins_at(char32_t character) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null: nothing is known
};

}  // namespace lomo::tokenizers
