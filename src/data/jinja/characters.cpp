#include "characters.h"

#include <algorithm>
#include <cstdio>

#include "value.h"

namespace lomo::jinja {

char32_t next_character(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  char32_t c = lead & (0x3fu >> more);
  for (int i = 0; i < more && at < text.size(); ++i) {
    c = (c << 6) | (static_cast<unsigned char>(text[at++]) & 0x3fu);
  }
  return c;
}

void append_character(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3f));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; });
}

std::u32string characters(std::string_view text) {
  std::u32string all;
  for (std::size_t at = 0; at < text.size();) all += next_character(text, at);
  return all;
}

std::string utf8(std::u32string_view characters) {
  std::string text;
  for (const char32_t c : characters) append_character(text, c);
  return text;
}

bool is_whitespace(char32_t c) {
  return (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x7f) return c >= 0x20;
  if (c < 0xa1 || c == 0xad || is_whitespace(c)) return false;
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return !(within(0x600, 0x605) || c == 0x61c || c == 0x6dd || c == 0x70f || c == 0x180e ||
           within(0x200b, 0x200f) || within(0x202a, 0x202e) || within(0x2060, 0x206f) ||
           within(0xd800, 0xf8ff) || c == 0xfeff || within(0xfff0, 0xfffb) ||
           (c & 0xfffe) == 0xfffe || within(0xe0000, 0xe0fff) || c >= 0xf0000);
}

namespace {

template <class Drop>
std::string_view strip_where(std::string_view text, bool left, bool right, Drop const& drop) {
  std::size_t begin = 0;
  while (left && begin < text.size()) {
    std::size_t next = begin;
    if (!drop(next_character(text, next))) break;
    begin = next;
  }
  std::size_t end = text.size();
  while (right && end > begin) {
    std::size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(text[last]) & 0xc0u) == 0x80u) --last;
    std::size_t at = last;
    if (!drop(next_character(text, at))) break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

/// Beyond ASCII: whether the character lies in a block of letters that have no case, or of signs.
bool caseless(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return within(0x80, 0xa9) || within(0xab, 0xb4) || within(0xb6, 0xb9) || within(0xbb, 0xbf) ||
         c == 0xd7 || c == 0xf7 || within(0x300, 0x344) || within(0x346, 0x36f) ||
         within(0x591, 0x109f) || within(0x1100, 0x139f) || within(0x1400, 0x1c7f) ||
         within(0x2000, 0x2070) || within(0x20a0, 0x20ff) || within(0x2190, 0x24b5) ||
         within(0x24ea, 0x2bff) || within(0x2e00, 0xa63f) || within(0xa800, 0xab2f) ||
         within(0xabc0, 0xfaff) || within(0xfe00, 0xff20) || within(0xff5b, 0xffff) ||
         within(0x1f000, 0x1f12f) || within(0x1f18a, 0x3ffff) || c >= 0xe0000;
}

bool is_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char32_t changed(char32_t c, bool to_upper) {
  if (c >= 0x80 && !caseless(c)) {
    char code[16];
    std::snprintf(code, sizeof code, "U+%04X", static_cast<unsigned>(c));
    throw Fault(std::string("the case of ") + code +
                " cannot be changed; only that of ASCII letters can");
  }
  if (!is_letter(c)) return c;
  return to_upper ? (c & ~char32_t{0x20}) : (c | 0x20);
}

template <class Capital>
std::string with_case(std::string_view text, Capital const& capital) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_character(text, at);
    append_character(out, changed(c, capital(c, begin)));
  }
  return out;
}

}  // namespace

std::string_view strip(std::string_view text, bool left, bool right) {
  return strip_where(text, left, right, is_whitespace);
}

std::string_view strip(std::string_view text, std::string_view set, bool left, bool right) {
  const std::u32string all = characters(set);
  return strip_where(text, left, right,
                     [&](char32_t c) { return all.find(c) != std::u32string::npos; });
}

std::string upper(std::string_view text) {
  return with_case(text, [](char32_t, std::size_t) { return true; });
}

std::string lower(std::string_view text) {
  return with_case(text, [](char32_t, std::size_t) { return false; });
}

std::string capitalize(std::string_view text) {
  return with_case(text, [](char32_t, std::size_t at) { return at == 0; });
}

std::string title(std::string_view text, bool as_filter) {
  bool inside = false;
  return with_case(text, [&](char32_t c, std::size_t) {
    const bool capital = !inside;
    inside = as_filter
                 ? !(is_whitespace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<')
                 : is_letter(c);
    return capital;
  });
}

}  // namespace lomo::jinja
