#include "match_shape.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "unicode.h"

namespace lomo::tokenizers {

namespace {

using Code = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;

/// A place of the pattern where one character is matched, or looked at.
struct Atom {
  Code code;
  bool looks_ahead = false;

  bool matches(char32_t character) const {
    const std::string text = utf8_of(character);
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
        pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
    return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                       PCRE2_ANCHORED, match.get(), nullptr) >= 0;
  }
};

using Atoms = std::set<std::size_t>;

/// A part of the pattern: the atoms that what it matches may begin and end with, and those that may
/// be all of it.
struct Part {
  Atoms first, last, alone;
  bool empty = true;      // it may match nothing, be it after a look ahead
  bool skippable = true;  // it matches nothing wherever that is asked for
};

Atoms both(Atoms a, Atoms const& b) {
  a.insert(b.begin(), b.end());
  return a;
}

/// What is thrown within this file at what is not analysed.
struct Unknown {};

/// Reads a pattern by its grammar.
class Reader {
 public:
  Reader(std::string_view pattern, std::vector<Atom>& atoms,
         std::set<std::pair<std::size_t, std::size_t>>& neighbours)
      : pattern_(pattern), atoms_(atoms), neighbours_(neighbours) {}

  Part read() {
    Part whole = alternatives();
    if (at_ < pattern_.size()) throw Unknown();
    return whole;
  }

 private:
  bool at(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!at(text)) return false;
    at_ += text.size();
    return true;
  }

  void join(Atoms const& left, Atoms const& right) {
    for (const std::size_t a : left) {
      for (const std::size_t b : right) neighbours_.emplace(a, b);
    }
  }

  Part alternatives() {
    const bool caseless = caseless_;
    Part all = sequence();
    while (take("|")) {
      const Part other = sequence();
      all.first = both(std::move(all.first), other.first);
      all.last = both(std::move(all.last), other.last);
      all.alone = both(std::move(all.alone), other.alone);
      all.empty = all.empty || other.empty;
      all.skippable = all.skippable || other.skippable;
    }
    caseless_ = caseless;
    return all;
  }

  Part sequence() {
    Part whole;
    while (at_ < pattern_.size() && !at("|") && !at(")")) {
      if (take("(?i)")) {
        caseless_ = true;
      } else if (take("(?-i)")) {
        caseless_ = false;
      } else {
        whole = behind(std::move(whole), repeated(one()));
      }
    }
    return whole;
  }

  Part behind(Part left, Part const& right) {
    join(left.last, right.first);
    Atoms alone = right.skippable ? left.alone : Atoms();
    if (left.skippable) alone = both(std::move(alone), right.alone);
    if (left.empty) left.first = both(std::move(left.first), right.first);
    left.last = right.empty ? both(std::move(left.last), right.last) : right.last;
    left.alone = std::move(alone);
    left.empty = left.empty && right.empty;
    left.skippable = left.skippable && right.skippable;
    return left;
  }

  /// What a quantifier behind it makes of a part.
  Part repeated(Part part) {
    bool none = false;  // it may be there no time at all
    bool once = true;
    bool more = false;
    if (take("?")) {
      none = true;
    } else if (take("*")) {
      none = more = true;
    } else if (take("+")) {
      more = true;
    } else if (at("{")) {
      const std::size_t close = pattern_.find('}', at_);
      const std::string_view range = pattern_.substr(at_ + 1, close - at_ - 1);
      const std::size_t comma = std::min(range.find(','), range.size());
      const std::string_view low = range.substr(0, comma);
      const std::string_view high = comma < range.size() ? range.substr(comma + 1) : low;
      if (low.size() > 1 || high == "0") throw Unknown();  // no pattern of a tokenizer is so
      none = low == "0";
      once = low <= "1";
      more = high != "1";
      at_ = close + 1;
    } else {
      return part;
    }
    // What keeps all that it took leaves nothing to what follows.
    const bool keeps = take("+");
    if (!keeps) take("?");
    if (more) join(part.last, part.first);
    if (!once) part.alone.clear();
    part.empty = part.empty || none;
    part.skippable = !keeps && (part.skippable || none);
    return part;
  }

  Part one() {
    if (take("(")) return group();
    const std::size_t begin = at_;
    if (take("[")) {
      take("^");
      while (!take("]")) {
        if (at_ >= pattern_.size()) throw Unknown();
        take("\\");
        character();
      }
    } else if (take("\\")) {
      escape();
    } else if (at("^") || at("$")) {
      throw Unknown();
    } else {
      character();
    }
    return atom(pattern_.substr(begin, at_ - begin));
  }

  void character() {
    if (at_ >= pattern_.size()) throw Unknown();
    next_character(pattern_, at_);
  }

  void escape() {
    constexpr std::string_view kPlain = "nrtfe";
    const char c = at_ < pattern_.size() ? pattern_[at_] : '\0';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == 'x' || c == 'p' || c == 'P') {
      const std::size_t close = pattern_.find('}', at_);
      if (pattern_.substr(at_ + 1, 1) != "{" || close == std::string_view::npos) throw Unknown();
      at_ = close + 1;
    } else if (letter && kPlain.find(c) == std::string_view::npos) {
      throw Unknown();  // an anchor
    } else {
      character();
    }
  }

  Part group() {
    const bool caseless = caseless_;
    const bool ahead = take("?!") || take("?=");
    if (take("?i:")) {
      caseless_ = true;
    } else if (take("?-i:")) {
      caseless_ = false;
    } else if (!ahead && at("?") && !take("?:")) {
      throw Unknown();
    }
    Part inner;
    if (ahead) {
      const std::size_t before = atoms_.size();
      inner = one();
      if (atoms_.size() != before + 1) throw Unknown();
      atoms_.back().looks_ahead = true;
      inner.alone.clear();
      inner.empty = true;
    } else {
      inner = alternatives();
    }
    if (!take(")")) throw Unknown();
    caseless_ = caseless;
    return inner;
  }

  Part atom(std::string_view text) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    const std::uint32_t options = PCRE2_UTF | PCRE2_UCP | (caseless_ ? PCRE2_CASELESS : 0u);
    Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &error,
                            &offset, nullptr),
              &pcre2_code_free);
    if (!code) throw Unknown();
    const std::size_t index = atoms_.size();
    atoms_.push_back({std::move(code)});
    return {{index}, {index}, {index}, false, false};
  }

  std::string_view pattern_;
  std::vector<Atom>& atoms_;
  std::set<std::pair<std::size_t, std::size_t>>& neighbours_;
  std::size_t at_ = 0;
  bool caseless_ = false;
};

}  // namespace

struct MatchShape::Impl {
  std::vector<Atom> atoms;
  std::set<std::pair<std::size_t, std::size_t>> neighbours;  // within a match
  Atoms alone;
};

MatchShape::MatchShape(std::string_view pattern) : impl_(std::make_unique<Impl>()) {
  try {
    const Part whole = Reader(pattern, impl_->atoms, impl_->neighbours).read();
    impl_->alone = whole.alone;
    // An empty match may be preferred to one of the character that stands there.
    if (whole.empty) impl_.reset();
  } catch (Unknown const&) {
    impl_.reset();
  }
}

MatchShape::~MatchShape() = default;
MatchShape::MatchShape(MatchShape&&) noexcept = default;

bool MatchShape::may_cut(char32_t left, char32_t right) const {
  if (!impl_) return false;
  return std::ranges::none_of(impl_->neighbours, [&](auto const& pair) {
    Atom const& b = impl_->atoms[pair.second];
    return (b.looks_ahead || b.matches(right)) && impl_->atoms[pair.first].matches(left);
  });
}

bool MatchShape::begins_at(char32_t character) const {
  if (!impl_) return false;
  return std::ranges::any_of(impl_->alone,
                             [&](std::size_t a) { return impl_->atoms[a].matches(character); });
}

}  // namespace lomo::tokenizers
