#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lomo/io/json.h"
#include "regex.h"

namespace lomo::tokenizers {

/// The stage that an object of a tokenizer.json describes, by its "type". Throws the error that
/// names the place, the kind ("normalizer") and the type when it is not one of `known`.
std::size_t stage_type(JsonReader& reader, std::string const& kind,
                       std::initializer_list<std::string_view> known);

/// The object under `key`; nothing when it is absent or null.
std::optional<JsonReader> optional_object(JsonReader& reader, std::string_view key);

/// {"String": text} or {"Regex": pattern}.
class Pattern {
 public:
  /// Reads the object under "pattern".
  explicit Pattern(JsonReader& reader);

  /// The first match at or after `from`; never an empty one for a text.
  bool find(std::string_view text, std::size_t from, RegexScratch& scratch, std::size_t& begin,
            std::size_t& end) const;
  /// Where texts may be cut without a change of the matches.
  MatchShape const& shape() const { return regex_ ? regex_->shape() : *literal_shape_; }
  /// The text that is looked for; empty for a regular expression.
  std::string const& literal() const { return literal_; }
  /// Every match becomes `content`.
  void replace(std::string& text, std::string const& content, RegexScratch& scratch) const;

 private:
  std::string literal_;
  std::optional<MatchShape> literal_shape_;
  std::optional<Regex> regex_;
};

}  // namespace lomo::tokenizers
