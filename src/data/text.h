#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

namespace lomo {

/// Offset of the first byte that is not well-formed UTF-8 (overlong forms and surrogates are not).
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// Byte offset of character `index` of well-formed text; nothing beyond its end (one past the last
/// character is the end).
std::optional<std::size_t> byte_of_character(std::string_view text, std::size_t index);

/// Whether a UTF-8 character starts at `at`.
inline bool starts_character(std::string_view text, std::size_t at) {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xc0u) != 0x80u;
}

inline bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace lomo
