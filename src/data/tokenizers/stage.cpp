#include "stage.h"

#include <cctype>
#include <utility>

#include "unicode.h"

namespace lomo::tokenizers {

std::size_t stage_type(JsonReader& reader, std::string const& kind,
                       std::initializer_list<std::string_view> known) {
  reader.require("type");
  std::string type;
  reader.get("type", type);
  std::string list;
  std::size_t at = 0;
  for (const std::string_view name : known) {
    if (name == type) return at;
    list += (list.empty() ? "" : ", ") + std::string(name);
    ++at;
  }
  reader.fail("type", "the " + kind + " \"" + type + "\" is not implemented; these are: " + list);
}

std::optional<JsonReader> optional_object(JsonReader& reader, std::string_view key) {
  Json const* value = reader.raw(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return reader.object(key);
}

namespace {

/// A text as a pattern that matches it.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c > 0 && c < 0x7f && std::ispunct(static_cast<unsigned char>(c)) != 0) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Pattern::Pattern(JsonReader& reader) {
  reader.require("pattern");
  JsonReader pattern = *reader.object("pattern");
  std::string regex;
  if (pattern.get("String", literal_)) {
    if (literal_.empty()) pattern.fail("String", "the text is empty");
    literal_shape_.emplace(escaped(literal_));
  } else {
    pattern.require("Regex");
    pattern.get("Regex", regex);
    regex_.emplace(regex, pattern.where() + ": " + pattern.pointer() + "/Regex");
  }
  pattern.finish();
}

bool Pattern::find(std::string_view text, std::size_t from, RegexScratch& scratch,
                   std::size_t& begin, std::size_t& end) const {
  if (regex_) return regex_->find(text, from, scratch, begin, end);
  begin = text.find(literal_, from);
  end = begin + literal_.size();
  return begin != std::string_view::npos;
}

void Pattern::replace(std::string& text, std::string const& content, RegexScratch& scratch) const {
  std::size_t begin = 0;
  std::size_t end = 0;
  if (!find(text, 0, scratch, begin, end)) return;
  const std::string_view from = text;
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  std::size_t copied = 0;
  do {
    out += from.substr(copied, begin - copied);
    out += content;
    copied = end;
    if (begin == end) {  // a pattern that matches nothing at all stands before each character
      if (end == from.size()) break;
      next_character(from, end);
    }
  } while (find(from, end, scratch, begin, end));
  out += from.substr(copied);
  text = std::move(out);
}

}  // namespace lomo::tokenizers
