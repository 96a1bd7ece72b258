#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "syntax.h"

namespace lomo::jinja {

enum class TokenType : std::uint8_t {
  text,  // outside of tags, whitespace control applied
  block_begin,
  block_end,
  output_begin,
  output_end,
  name,
  string,    // text: the value, escapes read
  integer,   // constant
  floating,  // constant
  symbol,    // text: an operator or a bracket
  end,
};

struct Token {
  TokenType type;
  std::string text;
  Constant constant;
  Place place;
};

/// Throws Error(Exit::data) "<name>:<line>:<column>: <message>".
[[noreturn]] void refuse(std::string const& name, Place place, std::string const& message);

/// Cuts a template into tokens as Jinja does with trim_blocks and lstrip_blocks: line ends become
/// \n, one at the very end is dropped, comments are left out. The last token is `end`.
std::vector<Token> read_tokens(std::string_view source, std::string const& name);

}  // namespace lomo::jinja
