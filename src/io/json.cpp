#include "lomo/io/json.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "lomo/io/files.h"

namespace lomo {
namespace {

constexpr std::size_t kLastRead = 40;  // bytes of the input that a message repeats
constexpr std::size_t kPreview = 60;   // bytes of a value that it shows

/// Iterates over text and tells where the parser stands, so that errors raised between tokens can
/// name a line too.
class TracedIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = char const*;
  using reference = char const&;

  TracedIterator(char const* at, char const** latest) : at_(at), latest_(latest) {}
  reference operator*() const { return *at_; }
  TracedIterator& operator++() {
    *latest_ = ++at_;
    return *this;
  }
  TracedIterator operator++(int) {
    TracedIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(TracedIterator const& other) const { return at_ == other.at_; }

 private:
  char const* at_;
  char const** latest_;
};

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0u) == 0x80u;
}

/// The place of the last of the first `read` bytes of text that begins at `start`.
std::string place(std::string const& where, std::string_view text, TextPosition start,
                  std::size_t read) {
  const std::size_t last = std::min(read, text.size()) - (read == 0 || text.empty() ? 0 : 1);
  return where + ":" + after(start, text.substr(0, last)).text();
}

/// Where the brackets that are open first number more than kJsonLevels; npos: nowhere.
std::size_t too_deep(std::string_view text) {
  int open = 0;
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c == '\\') ++at;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++open > kJsonLevels) return at;
    } else if (c == ']' || c == '}') {
      --open;
    }
  }
  return std::string_view::npos;
}

/// What the parser found wrong, without the library's own prefix and position, and with no more of
/// the input than a line of a message holds.
std::string reason(std::string_view what) {
  const std::size_t bracket = what.find("] ");
  if (bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
  if (const std::size_t column = what.find(", column "); column != std::string_view::npos) {
    const std::size_t colon = what.find(": ", column);
    if (colon != std::string_view::npos) what.remove_prefix(colon + 2);
  }
  if (what.starts_with("syntax error while parsing ")) {
    const std::size_t dash = what.find(" - ");
    if (dash != std::string_view::npos) what.remove_prefix(dash + 3);
  }
  for (const std::string_view mark : {"; last read: '", "number overflow parsing '"}) {
    const std::size_t at = what.find(mark);
    if (at == std::string_view::npos) continue;
    const std::size_t begin = at + mark.size();
    const std::size_t end = std::max(what.rfind('\''), begin);
    return std::string(what.substr(0, begin)) +
           cut_text(std::string(what.substr(begin, end - begin)), kLastRead) +
           std::string(what.substr(end));
  }
  return std::string(what);
}

/// What people write where JSON is strict, by the bytes at which the parser stopped.
std::string remedy(std::string_view text, std::size_t read) {
  const std::size_t at = std::min(read == 0 ? 0 : read - 1, text.size());
  if (at < text.size() && text[at] == '\'') return "; JSON has double quotes";
  const std::size_t before = text.substr(0, at).find_last_not_of(" \t\r\n");
  const bool closes = at < text.size() && (text[at] == '}' || text[at] == ']');
  if (closes && before != std::string_view::npos && text[before] == ',') {
    return "; leave out the comma before the bracket";
  }
  static constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"True", "true"},          {"False", "false"},
      {"None", "null"},          {"NaN", "null or a number"},
      {"-Infinity", "a number"}, {"Infinity", "a number"}};
  for (auto const& [word, right] : kWords) {
    const std::size_t from = at < word.size() ? 0 : at - word.size();
    const std::size_t found = text.substr(0, at + word.size()).find(word, from);
    if (found != std::string_view::npos && found <= at) {
      return "; JSON writes " + std::string(right) + " for " + std::string(word);
    }
  }
  return "";
}

/// The start of a value as compact JSON, of what it holds no more than a message shows.
void append_preview(Json const& value, std::string& text) {
  if (text.size() > kPreview) return;
  const auto scalar = [&](Json const& one) {
    text += one.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  if (value.is_string()) {
    return scalar(value.get_ref<std::string const&>().substr(0, kPreview + 1));
  }
  if (!value.is_structured() || value.empty()) return scalar(value);
  char separator = value.is_array() ? '[' : '{';
  for (auto const& [key, item] : value.items()) {
    text += separator;
    separator = ',';
    if (value.is_object())
      text +=
          Json(key.substr(0, kPreview)).dump(-1, ' ', false, Json::error_handler_t::replace) + ":";
    append_preview(item, text);
    if (text.size() > kPreview) return;
  }
  text += value.is_array() ? ']' : '}';
}

void refuse_depth(std::string_view text, std::string const& where, TextPosition start, Exit exit) {
  const std::size_t deep = too_deep(text);
  if (deep == std::string_view::npos) return;
  throw Error(exit, place(where, text, start, deep + 1) + ": nested more than " +
                        std::to_string(kJsonLevels) + " levels deep");
}

/// Which keys may stand only once in their object. Of a record's fields the last one would be read
/// and the others lost; what lies in them is often not read at all.
enum class Keys : std::uint8_t { unique, unique_outermost };

Json parse(std::string_view text, std::string const& where, TextPosition start, Exit exit,
           Keys wanted) {
  refuse_depth(text, where, start, exit);
  char const* at = text.data();
  std::vector<std::set<std::string>> keys;  // of every object that is open
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && (wanted == Keys::unique || keys.size() == 1)) {
      auto const& key = parsed.get_ref<std::string const&>();
      if (!keys.back().insert(key).second) {
        throw Error(exit, place(where, text, start, static_cast<std::size_t>(at - text.data())) +
                              ": the key \"" + key + "\" is there twice");
      }
    }
    return true;
  };
  try {
    return Json::parse(TracedIterator(text.data(), &at),
                       TracedIterator(text.data() + text.size(), &at), watch);
  } catch (Json::parse_error const& error) {
    throw Error(exit, place(where, text, start, error.byte) +
                          ": not valid JSON: " + reason(error.what()) + remedy(text, error.byte));
  } catch (Json::exception const& error) {
    throw Error(exit, place(where, text, start, static_cast<std::size_t>(at - text.data())) +
                          ": not valid JSON: " + reason(error.what()));
  }
}

}  // namespace

std::string TextPosition::text() const {
  return std::to_string(line) + ":" + std::to_string(column);
}

TextPosition after(TextPosition start, std::string_view text) {
  const std::size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) {
    start.line += std::count(text.begin(), text.end(), '\n');
    start.column = 1;
    text.remove_prefix(newline + 1);
  }
  start.column +=
      std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); });
  return start;
}

Json parse_json(std::string_view text, std::string const& where, Exit exit) {
  return parse(text, where, {}, exit, Keys::unique);
}

Json parse_record(std::string_view text, std::string const& where, TextPosition start) {
  return parse(text, where, start, Exit::data, Keys::unique_outermost);
}

std::optional<Json> json_or_nothing(std::string_view text, std::string const& where, Exit exit) {
  if (too_deep(text) != std::string_view::npos) return parse(text, where, {}, exit, Keys::unique);
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

std::string preview(Json const& value) {
  std::string text;
  append_preview(value, text);
  return cut_text(std::move(text), kPreview);
}

std::string cut_text(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  std::size_t kept = bytes - std::min<std::size_t>(bytes, 3);
  while (kept > 0 && continues_character(text[kept])) --kept;
  text.resize(kept);
  return text + "...";
}

bool JsonEvents::parse_error(std::size_t, std::string const&,
                             nlohmann::detail::exception const& error) {
  if (auto const* syntax = dynamic_cast<Json::parse_error const*>(&error)) throw *syntax;
  throw Error(error.what());
}

void scan_json(std::string_view text, std::string const& where, Exit exit, JsonEvents& events) {
  refuse_depth(text, where, {}, exit);
  try {
    Json::sax_parse(text.data(), text.data() + text.size(), &events);
  } catch (Json::parse_error const& error) {
    throw Error(exit, place(where, text, {}, error.byte) +
                          ": not valid JSON: " + reason(error.what()) + remedy(text, error.byte));
  } catch (Json::exception const& error) {
    throw Error(exit, where + ": not valid JSON: " + reason(error.what()));
  }
}

Json read_json(std::filesystem::path const& file, Exit exit, std::size_t largest) {
  return parse_json(read_file(file, exit, largest), file.string(), exit);
}

}  // namespace lomo
