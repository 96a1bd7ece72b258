#include <algorithm>
#include <string>
#include <string_view>

#include "lomo/core/error.h"
#include "regex.h"

namespace lomo::tokenizers {

namespace {

// What PCRE2 means by \s and \w is a little more and a little less than Unicode's properties.
constexpr std::string_view kSpace =
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"
    "\\x{3000}";
constexpr std::string_view kNoSpace =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-"
    "\\x{10ffff}";
constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string in_class(std::string_view members, bool negated = false) {
  return "[" + std::string(negated ? "^" : "") + std::string(members) + "]";
}

class Translator {
 public:
  Translator(std::string_view pattern, std::string const& place)
      : pattern_(pattern), place_(place) {}

  std::string translate() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_member(c);
      } else if (c == '[') {
        open_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        braces();
      } else {
        out_ += c;
        ++at_;
      }
    }
    if (in_class_) refuse("a \"[\" that nothing closes");
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string const& what) const {
    throw Error(Exit::data, place_ + ": " + what + " is not implemented, in the pattern \"" +
                                std::string(pattern_) + "\"");
  }

  char peek(std::size_t ahead) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }

  void open_class() {
    in_class_ = true;
    out_ += '[';
    ++at_;
    if (peek(0) == '^') {
      out_ += '^';
      ++at_;
    }
    if (peek(0) == ']') {
      out_ += "\\]";
      ++at_;
    }
  }

  void class_member(char c) {
    if (c == '[') refuse("a class inside a class");
    if (c == '&' && peek(1) == '&') refuse("\"&&\" inside a class");
    if (c == ']') in_class_ = false;
    out_ += c;
    ++at_;
  }

  void group() {
    constexpr std::string_view kKnown[] = {"(?:", "(?=",  "(?!",  "(?<=",  "(?<!",
                                           "(?>", "(?i:", "(?i)", "(?-i:", "(?-i)"};
    const std::string_view rest = pattern_.substr(at_);
    std::string_view head = "(";
    if (rest.starts_with("(?") || rest.starts_with("(*")) {
      auto const* known = std::find_if(std::begin(kKnown), std::end(kKnown),
                                       [&](std::string_view k) { return rest.starts_with(k); });
      if (known == std::end(kKnown)) refuse("\"" + std::string(rest.substr(0, 4)) + "\"");
      head = *known;
    }
    out_ += head;
    at_ += head.size();
  }

  /// {n}, {n,}, {n,m} and Ruby's {,m}; any other brace is itself.
  void braces() {
    std::size_t end = at_ + 1;
    const auto digits = [&] {
      const std::size_t begin = end;
      while (end < pattern_.size() && is_digit(pattern_[end])) ++end;
      return std::string(pattern_.substr(begin, end - begin));
    };
    const std::string low = digits();
    const bool range = end < pattern_.size() && pattern_[end] == ',';
    if (range) ++end;
    const std::string high = range ? digits() : "";
    const bool closed = end < pattern_.size() && pattern_[end] == '}';
    if (!closed || (low.empty() && high.empty())) {
      out_ += "\\{";
      ++at_;
      return;
    }
    const std::string count = std::string(pattern_.substr(at_, end + 1 - at_));
    at_ = end + 1;
    if (peek(0) == '+') refuse("\"" + count + "+\"");
    if (peek(0) == '?' && !range) refuse("\"" + count + "?\"");
    out_ += "{" + (low.empty() ? "0" : low) + (range ? "," + high : "") + "}";
  }

  void escape() {
    const char c = peek(1);
    at_ += 2;
    const auto emit = [&](std::string_view members, bool negated) {
      out_ += in_class_ ? std::string(members) : in_class(members, negated);
    };
    switch (c) {
      case 's':
        return emit(kSpace, false);
      case 'S':
        return in_class_ ? emit(kNoSpace, false) : emit(kSpace, true);
      case 'w':
        return emit(kWord, false);
      case 'W':
        return in_class_ ? refuse("\"\\W\" inside a class") : emit(kWord, true);
      case 'd':
        out_ += "\\p{Nd}";
        return;
      case 'D':
        out_ += "\\P{Nd}";
        return;
      case 'v':
        out_ += "\\x{b}";
        return;
      case 'a':
        out_ += "\\x{7}";
        return;
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'e':
        out_ += {'\\', c};
        return;
      case 'A':
      case 'z':
      case 'Z':
      case 'b':
      case 'B':
        return anchor(c);
      case 'p':
      case 'P':
        return property(c);
      case 'x':
      case 'u':
        return code_point(c);
      default:
        break;
    }
    if (at_ > pattern_.size()) refuse("a backslash at the end");
    if (is_letter(c) || is_digit(c)) refuse("\"\\" + std::string(1, c) + "\"");
    if (static_cast<unsigned char>(c) < 0x80) out_ += '\\';
    out_ += c;
  }

  void anchor(char c) {
    if (in_class_) refuse("\"\\" + std::string(1, c) + "\" inside a class");
    if (c != 'b' && c != 'B') {
      out_ += {'\\', c};
      return;
    }
    const std::string word = in_class(kWord);
    const std::string inside = c == 'b' ? "?!" : "?=";
    const std::string outside = c == 'b' ? "?=" : "?!";
    out_ +=
        "(?:(?<=" + word + ")(" + inside + word + ")|(?<!" + word + ")(" + outside + word + "))";
  }

  /// General categories have one name or two letters; what is longer is taken for a script, which
  /// PCRE2 would read as the wider list of scripts that share a character.
  void property(char c) {
    const std::size_t close = pattern_.find('}', at_);
    if (peek(0) != '{' || close == std::string_view::npos) {
      refuse("\"\\" + std::string(1, c) + "\" without braces");
    }
    std::string_view name = pattern_.substr(at_ + 1, close - at_ - 1);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    const bool letters =
        std::all_of(name.begin(), name.end(), [](char l) { return is_letter(l) || l == '_'; });
    if (name.empty() || !letters) refuse("\"\\p{" + std::string(name) + "}\"");
    const bool plain = name.size() <= 2 || name == "Any";
    out_ += negated != (c == 'P') ? "\\P{" : "\\p{";
    out_ += (plain ? "" : "sc:") + std::string(name) + "}";
    at_ = close + 1;
  }

  /// \xHH below 80, \x{H...} and \uHHHH.
  void code_point(char c) {
    std::size_t end = at_;
    const bool braced = c == 'x' && peek(0) == '{';
    if (braced) ++end;
    const std::size_t begin = end;
    const std::size_t maximum = braced ? 6 : c == 'u' ? 4 : 2;
    while (end < pattern_.size() && end - begin < maximum && is_hex(pattern_[end])) ++end;
    const std::string digits(pattern_.substr(begin, end - begin));
    const bool whole = braced ? !digits.empty() && end < pattern_.size() && pattern_[end] == '}'
                              : digits.size() == maximum;
    // Without braces \x80 to \xFF are bytes, parts of characters.
    if (!whole || (c == 'x' && !braced && digits[0] >= '8')) {
      refuse("\"\\" + std::string(1, c) + digits + "\"");
    }
    out_ += "\\x{" + digits + "}";
    at_ = end + (braced ? 1 : 0);
  }

  std::string_view pattern_;
  std::string const& place_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string pcre2_pattern(std::string_view pattern, std::string const& place) {
  return Translator(pattern, place).translate();
}

}  // namespace lomo::tokenizers
