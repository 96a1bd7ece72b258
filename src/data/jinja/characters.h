#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// Text as Python sees it, a row of code points, kept as well-formed UTF-8.
namespace lomo::jinja {

/// The code point at byte `at`, which moves on.
char32_t next_character(std::string_view text, std::size_t& at);
void append_character(std::string& text, char32_t c);
std::int64_t count_characters(std::string_view text);
std::u32string characters(std::string_view text);
std::string utf8(std::u32string_view characters);

/// str.isspace() of one character.
bool is_whitespace(char32_t c);
/// Whether repr() shows the character as it is. Characters that Unicode has not assigned are shown.
bool is_printable(char32_t c);

/// Whitespace, or else the characters of `set`, removed.
std::string_view strip(std::string_view text, bool left, bool right);
std::string_view strip(std::string_view text, std::string_view set, bool left, bool right);

/// Changes the case of ASCII letters and leaves characters without case alone; throws Fault for a
/// character beyond ASCII that may have one.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// Letters that follow a letter become small, others capital. Jinja's filter `title` differs from
/// Python's method: only spaces, hyphens and opening brackets part words.
std::string title(std::string_view text, bool as_filter);

}  // namespace lomo::jinja
