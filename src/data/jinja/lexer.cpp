#include "lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "../text.h"
#include "characters.h"
#include "lomo/core/error.h"

namespace lomo::jinja {

void refuse(std::string const& name, Place place, std::string const& message) {
  throw Error(Exit::data, name + ":" + std::to_string(place.line) + ":" +
                              std::to_string(place.column) + ": " + message);
}

namespace {

constexpr std::size_t kLargestSource = std::size_t{1} << 20;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// \r\n and \r become \n; one line end at the very end is dropped.
std::string normalized(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string source, std::string const& name) : source_(std::move(source)), name_(name) {}

  std::vector<Token> read() {
    while (at_ < source_.size()) read_text_and_tag();
    add(TokenType::end);
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  [[noreturn]] void fail(std::string const& message) const { refuse(name_, place_, message); }

  void advance(std::size_t bytes) {
    for (; bytes > 0; --bytes, ++at_) {
      if (source_[at_] == '\n') {
        ++place_.line;
        place_.column = 1;
      } else if (starts_character(source_, at_)) {
        ++place_.column;
      }
    }
  }

  void add(TokenType type, std::string text = {}, Constant constant = {}) {
    tokens_.push_back({type, std::move(text), std::move(constant), place_});
  }

  std::size_t whitespace_length(std::size_t from) const {
    std::size_t end = from;
    while (end < source_.size()) {
      std::size_t next = end;
      if (!is_whitespace(next_character(source_, next))) break;
      end = next;
    }
    return end - from;
  }

  /// The text before a tag that opens at `tag`, as its sign ('-', '+' or none) leaves it.
  std::string before_tag(std::size_t tag, char sign, bool output) const {
    const std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    if (sign == '-') return std::string(strip(text, false, true));
    if (sign == '+' || output) return std::string(text);
    const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
    if ((line > 0 || line_starts_) && strip(text.substr(line), true, true).empty()) {
      return std::string(text.substr(0, line));
    }
    return std::string(text);
  }

  /// After the bytes `closing` of a tag: a sign before them has been seen. Takes what trim_blocks
  /// or the sign '-' take after them.
  void close_tag(char sign, std::size_t closing) {
    std::size_t length = closing;
    if (sign == '-') {
      length += whitespace_length(at_ + closing);
    } else if (sign != '+' && peek(closing) == '\n') {
      ++length;
    }
    line_starts_ = source_[at_ + length - 1] == '\n';
    advance(length);
  }

  void read_text_and_tag() {
    std::size_t tag = at_;
    while (tag < source_.size()) {
      tag = std::min(source_.find('{', tag), source_.size());
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') break;
      if (tag < source_.size()) ++tag;
    }
    if (tag == source_.size()) {
      add(TokenType::text, std::string(rest()));
      advance(tag - at_);
      return;
    }
    const char kind = source_[tag + 1];
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    std::string text = before_tag(tag, sign, kind == '{');
    if (!text.empty()) add(TokenType::text, std::move(text));
    advance(tag - at_);
    if (kind == '#') return read_comment(sign);
    if (kind == '%' && read_raw(sign)) return;
    add(kind == '{' ? TokenType::output_begin : TokenType::block_begin);
    advance(sign == '\0' ? 2 : 3);
    read_inside(kind == '{');
  }

  void read_comment(char sign) {
    const std::size_t end = source_.find("#}", at_ + (sign == '\0' ? 2 : 3));
    if (end == std::string::npos) fail("a comment {# has no end #}");
    const char closing = source_[end - 1];
    // The sign that opens cannot be the one that closes: {#-#} has one.
    const bool own = end - 1 >= at_ + (sign == '\0' ? 2 : 3);
    advance(end - at_);
    close_tag(own && (closing == '-' || closing == '+') ? closing : '\0', 2);
  }

  /// Length of "{% name %}" at `from`, signs included, and the sign that closes it; 0: not there.
  std::size_t tag_length(std::size_t from, std::string_view name, char& sign) const {
    std::size_t end = from + 2;
    if (end < source_.size() && (source_[end] == '-' || source_[end] == '+')) ++end;
    end += whitespace_length(end);
    if (std::string_view(source_).substr(end, name.size()) != name) return 0;
    end += name.size();
    end += whitespace_length(end);
    sign = '\0';
    if (end < source_.size() && (source_[end] == '-' || source_[end] == '+')) {
      sign = source_[end++];
    }
    return std::string_view(source_).substr(end, 2) == "%}" ? end + 2 - from : 0;
  }

  bool read_raw(char) {
    char sign = '\0';
    const std::size_t length = tag_length(at_, "raw", sign);
    if (length == 0 || sign == '+') return false;
    // trim_blocks does not apply to the tag that opens raw text.
    const Place opened = place_;
    advance(length);
    if (sign == '-') advance(whitespace_length(at_));
    line_starts_ = source_[at_ - 1] == '\n';
    for (std::size_t end = at_; (end = source_.find("{%", end)) != std::string::npos; end += 2) {
      char closing = '\0';
      const std::size_t closing_length = tag_length(end, "endraw", closing);
      if (closing_length == 0) continue;
      const char opening = source_[end + 2];
      std::string text = before_tag(end, opening == '-' || opening == '+' ? opening : '\0', false);
      if (!text.empty()) add(TokenType::text, std::move(text));
      advance(end + closing_length - 2 - at_);
      close_tag(closing, 2);
      return true;
    }
    refuse(name_, opened, "{% raw %} has no {% endraw %}");
  }

  void read_inside(bool output) {
    const std::string_view closing = output ? "}}" : "%}";
    std::string open;  // brackets
    const Place opened = place_;
    while (true) {
      advance(whitespace_length(at_));
      if (at_ == source_.size()) {
        refuse(name_, opened, "a tag has no end " + std::string(closing));
      }
      const bool sign = peek() == '-' || (peek() == '+' && !output);
      if (open.empty() && rest().substr(sign ? 1 : 0).starts_with(closing)) {
        const char which = sign ? peek() : '\0';
        add(output ? TokenType::output_end : TokenType::block_end);
        if (sign) advance(1);
        if (output && !sign) {
          line_starts_ = false;
          advance(2);
        } else {
          close_tag(which, 2);
        }
        return;
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    const char c = peek();
    if (starts_name(c)) {
      std::size_t length = 1;
      while (starts_name(peek(length)) || is_digit(peek(length))) ++length;
      add(TokenType::name, std::string(rest().substr(0, length)));
      advance(length);
    } else if (is_digit(c)) {
      read_number();
    } else if (c == '\'' || c == '"') {
      read_string(c);
    } else {
      read_symbol(open);
    }
  }

  std::string digits(std::size_t& length) const {
    std::string all;
    while (is_digit(peek(length)) || (peek(length) == '_' && is_digit(peek(length + 1)))) {
      if (peek(length) != '_') all += peek(length);
      ++length;
    }
    return all;
  }

  void read_number() {
    const bool after_dot = !tokens_.empty() && tokens_.back().type == TokenType::symbol &&
                           tokens_.back().text == "." && source_[at_ - 1] == '.';
    std::size_t length = 0;
    std::string text = digits(length);
    bool floating = false;
    if (!after_dot && peek(length) == '.' && is_digit(peek(length + 1))) {
      floating = true;
      text += peek(length++);
      text += digits(length);
    }
    const std::size_t sign = peek(length + 1) == '-' || peek(length + 1) == '+' ? 1 : 0;
    if (!after_dot && (peek(length) == 'e' || peek(length) == 'E') &&
        is_digit(peek(length + 1 + sign))) {
      floating = true;
      text += 'e';
      if (sign == 1) text += peek(length + 1);
      length += 1 + sign;
      text += digits(length);
    }
    if (floating) {
      double value = 0;
      const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
      if (end.ec != std::errc()) fail("the number " + text + " is too large or too small");
      add(TokenType::floating, text, value);
    } else {
      if (text.size() > 1 && text.front() == '0' &&
          text.find_first_not_of('0') != std::string::npos) {
        fail("the whole number " + text + " begins with 0");
      }
      if (text == "0" && starts_name(peek(length))) {
        fail("whole numbers are written in decimal here");
      }
      std::int64_t value = 0;
      const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
      if (end.ec != std::errc()) fail("the number " + text + " needs more than 64 bits");
      add(TokenType::integer, text, value);
    }
    advance(length);
  }

  char32_t code(std::size_t& at, int count, int base) const {
    char32_t value = 0;
    for (int i = 0; i < count; ++i) {
      const char c = at < source_.size() ? source_[at] : '\0';
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : base;
      if (digit >= base) {
        if (base == 8 && i > 0) break;
        fail("an escape in this text needs " + std::to_string(count) + " hexadecimal digits");
      }
      value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
      ++at;
    }
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
      fail("an escape in this text is not a character");
    }
    return value;
  }

  /// Appends what the escape at `at` (after the backslash) stands for, as Python reads it.
  void read_escape(std::size_t& at, std::string& value) const {
    static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeant = "\a\b\f\n\r\t\v\\'\"";
    const char c = source_[at];
    const std::size_t which = kLetters.find(c);
    if (which != std::string_view::npos) {
      value += kMeant[which];
      ++at;
    } else if (c == '\n') {
      ++at;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at;
      append_character(value, code(at, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16));
    } else if (c >= '0' && c <= '7') {
      append_character(value, code(at, 3, 8));
    } else if (c == 'N') {
      fail("escapes \\N{...} are not supported; write \\uXXXX");
    } else {
      value += '\\';  // not an escape: stays as it is
    }
  }

  void read_string(char quote) {
    std::string value;
    std::size_t at = at_ + 1;
    while (at < source_.size() && source_[at] != quote) {
      if (source_[at] != '\\') {
        value += source_[at++];
      } else if (++at < source_.size()) {
        read_escape(at, value);
      }
    }
    if (at >= source_.size()) fail("this text has no end " + std::string(1, quote));
    add(TokenType::string, std::move(value));
    advance(at + 1 - at_);
  }

  void read_symbol(std::string& open) {
    static constexpr std::array<std::string_view, 27> kSymbols{
        "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">",
        "=",  "(",  ")",  "[",  "]",  "{",  "}", ".", ",", ":", "|", ";", "!"};
    const auto symbol = std::find_if(kSymbols.begin(), kSymbols.end(),
                                     [&](std::string_view s) { return rest().starts_with(s); });
    if (symbol == kSymbols.end()) {
      std::size_t next = at_;
      const char32_t c = next_character(source_, next);
      fail("unexpected '" + utf8(std::u32string(1, c)) + "'" +
           (c >= 0x80 ? "; names are ASCII here" : ""));
    }
    if (*symbol == "(" || *symbol == "[" || *symbol == "{") open += symbol->front();
    if (*symbol == ")" || *symbol == "]" || *symbol == "}") {
      const char wanted = *symbol == ")" ? '(' : *symbol == "]" ? '[' : '{';
      if (open.empty() || open.back() != wanted) {
        fail("unexpected '" + std::string(*symbol) + "'");
      }
      open.pop_back();
    }
    add(TokenType::symbol, std::string(*symbol));
    advance(symbol->size());
  }

  std::string source_;
  std::string const& name_;
  std::size_t at_ = 0;
  Place place_;
  bool line_starts_ = true;  // what was read last ended with a line end
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> read_tokens(std::string_view source, std::string const& name) {
  if (source.size() > kLargestSource) {
    throw Error(Exit::data, name + ": more than 1 MiB; is this a chat template?");
  }
  if (const auto bad = invalid_utf8(source)) {
    throw Error(Exit::data, name + ": not UTF-8 at byte " + std::to_string(*bad + 1));
  }
  return Lexer(normalized(source), name).read();
}

}  // namespace lomo::jinja
