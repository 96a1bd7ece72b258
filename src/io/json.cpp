#include "lomo/io/json.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "lomo/io/files.h"

namespace lomo {
namespace {

constexpr int kDeepest = 64;

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

/// The line and column of the last of the first `read` characters.
std::string place(std::string const& where, std::string_view text, std::size_t read) {
  const std::size_t last = std::min(read, text.size()) - (read == 0 || text.empty() ? 0 : 1);
  const std::string_view before = text.substr(0, last);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t newline = before.rfind('\n');  // npos + 1 is 0
  return where + ":" + std::to_string(line) + ":" + std::to_string(last - (newline + 1) + 1);
}

/// What the parser found wrong, without the library's own prefix and position.
std::string reason(std::string_view what) {
  const std::size_t column = what.find(", column ");
  if (column != std::string_view::npos) {
    if (const std::size_t colon = what.find(": ", column); colon != std::string_view::npos) {
      return std::string(what.substr(colon + 2));
    }
  }
  const std::size_t bracket = what.find("] ");
  return std::string(bracket == std::string_view::npos ? what : what.substr(bracket + 2));
}

}  // namespace

Json parse_json(std::string_view text, std::string const& where, Exit exit) {
  char const* at = text.data();
  const auto fail = [&](std::string const& message) {
    throw Error(exit,
                place(where, text, static_cast<std::size_t>(at - text.data())) + ": " + message);
  };
  std::vector<std::set<std::string>> keys;  // of every object that is open
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= kDeepest) fail("nested more than " + std::to_string(kDeepest) + " levels deep");
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      auto const& key = parsed.get_ref<std::string const&>();
      if (!keys.back().insert(key).second) fail("the key \"" + key + "\" is there twice");
    }
    return true;
  };
  try {
    return Json::parse(TracedIterator(text.data(), &at),
                       TracedIterator(text.data() + text.size(), &at), watch);
  } catch (Json::parse_error const& error) {
    throw Error(exit, place(where, text, error.byte) + ": not valid JSON: " + reason(error.what()));
  } catch (Json::exception const& error) {
    throw Error(exit, where + ": not valid JSON: " + reason(error.what()));
  }
}

bool JsonEvents::parse_error(std::size_t, std::string const&,
                             nlohmann::detail::exception const& error) {
  if (auto const* syntax = dynamic_cast<Json::parse_error const*>(&error)) throw *syntax;
  throw Error(error.what());
}

void scan_json(std::string_view text, std::string const& where, Exit exit, JsonEvents& events) {
  try {
    Json::sax_parse(text.data(), text.data() + text.size(), &events);
  } catch (Json::parse_error const& error) {
    throw Error(exit, place(where, text, error.byte) + ": not valid JSON: " + reason(error.what()));
  } catch (Json::exception const& error) {
    throw Error(exit, where + ": not valid JSON: " + reason(error.what()));
  }
}

Json read_json(std::filesystem::path const& file, Exit exit, std::size_t largest) {
  return parse_json(read_file(file, exit, largest), file.string(), exit);
}

}  // namespace lomo
