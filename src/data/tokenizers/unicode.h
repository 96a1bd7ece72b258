#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lomo::tokenizers {

/// The character that begins at `at` of well-formed UTF-8; `at` moves behind it.
char32_t next_character(std::string_view text, std::size_t& at);
/// Where the character before `end` begins; `end` is above 0.
std::size_t last_character(std::string_view text, std::size_t end);
std::string utf8_of(char32_t character);

/// U+2581, which pieces of sentencepiece have in place of a space, as a space again.
std::string with_spaces(std::string_view piece);

/// White space as Unicode's property of that name has it.
bool is_white_space(char32_t character);
/// Letters, marks, digits, connecting punctuation and joiners: what \w is in Rust.
bool is_word_character(char32_t character);

/// Well-formed UTF-8: each longest part that begins a character and does not end it, and each byte
/// that cannot begin one, becomes U+FFFD, as in the decoders of Python and of browsers.
std::string repaired_utf8(std::string_view bytes);

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };
/// `text` must be well-formed.
std::string normal_form(std::string_view text, NormalForm form);
/// Letter by letter, without regard to neighbours or language.
std::string lower_case(std::string_view text);

}  // namespace lomo::tokenizers
