#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "match_shape.h"

namespace lomo::tokenizers {

/// What a thread needs to match any Regex; not shared between threads.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(RegexScratch const&) = delete;  // owns PCRE2's memory

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A pattern of a tokenizer.json. Hugging Face reads it with Oniguruma (Ruby's syntax); here it is
/// rewritten for PCRE2 where the two differ (white space and words as Unicode has them, scripts,
/// word boundaries). What is not rewritten is refused by name. Characters that came after Unicode
/// 14 belong to no category here. May be used by many threads at once.
class Regex {
 public:
  /// Throws Error(Exit::data), which begins with `place`, for a pattern that is refused or wrong.
  Regex(std::string_view pattern, std::string const& place);
  ~Regex();
  Regex(Regex&&) noexcept;

  /// Where texts may be cut without a change of the matches.
  MatchShape const& shape() const;

  /// The first match at or after `from`. `text` must be well-formed UTF-8. Throws
  /// Error(Exit::data) when the pattern needs too many steps on it.
  bool find(std::string_view text, std::size_t from, RegexScratch& scratch, std::size_t& begin,
            std::size_t& end) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The pattern as PCRE2 is given it.
std::string pcre2_pattern(std::string_view pattern, std::string const& place);

}  // namespace lomo::tokenizers
