#include <algorithm>
#include <limits>
#include <map>

#include "calls.h"
#include "characters.h"

namespace lomo::jinja {

namespace {

using Strings = std::vector<std::string>;

Value list_of(Arena& arena, Strings parts, Items::Kind kind = Items::Kind::list) {
  std::vector<Value> values;
  for (std::string& part : parts) values.push_back(arena.text(std::move(part)));
  return arena.items(std::move(values), kind);
}

/// Python's split at runs of whitespace; at most `maximum` cuts, from the right where asked. What
/// the cuts leave over keeps the whitespace at its far end.
Strings split_words(std::string_view text, std::int64_t maximum, bool from_right) {
  Strings parts;
  text = strip(text, !from_right, from_right);
  while (!text.empty()) {
    if (maximum-- == 0) {
      parts.emplace_back(text);
      break;
    }
    std::size_t begin = 0, end = text.size();  // of the next word
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t here = at;
      if (!is_whitespace(next_character(text, at))) continue;
      if (from_right) {
        begin = at;
      } else {
        end = here;
        break;
      }
    }
    parts.emplace_back(text.substr(begin, end - begin));
    text = from_right ? strip(text.substr(0, begin), false, true)
                      : strip(text.substr(end), true, false);
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Strings split_at(std::string_view text, std::string_view bar, std::int64_t maximum,
                 bool from_right) {
  if (bar.empty()) throw Fault("split() needs a separator that is not empty");
  Strings parts;
  while (maximum-- != 0) {
    const std::size_t at = from_right ? text.rfind(bar) : text.find(bar);
    if (at == std::string_view::npos) break;
    if (from_right) {
      parts.emplace_back(text.substr(at + bar.size()));
      text = text.substr(0, at);
    } else {
      parts.emplace_back(text.substr(0, at));
      text = text.substr(at + bar.size());
    }
  }
  parts.emplace_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split(Arena& arena, std::string const& text, Arguments const& arguments, bool from_right) {
  const auto bound = arguments.bind("split()", {"sep", "maxsplit"});
  const std::int64_t maximum = is_undefined(bound[1]) ? -1 : integer_argument(bound[1], "maxsplit");
  arena.charge(text.size() * 2);
  if (!given(bound[0])) return list_of(arena, split_words(text, maximum, from_right));
  return list_of(arena, split_at(text, need_text(bound[0], "sep"), maximum, from_right));
}

Value split_lines(Arena& arena, std::string const& text, Arguments const& arguments) {
  const bool keep = truth(arguments.bind("splitlines()", {"keepends"})[0]);
  Strings lines;
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_character(text, at);
    const bool ends = (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(line, (keep ? at : begin) - line));
    line = at;
  }
  if (line < text.size()) lines.push_back(text.substr(line));
  return list_of(arena, std::move(lines));
}

Value stripped(Arena& arena, std::string const& text, Arguments const& arguments, bool left,
               bool right) {
  const auto bound = arguments.bind("strip()", {"chars"});
  if (!given(bound[0])) return arena.text(std::string(strip(text, left, right)));
  std::string const& set = need_text(bound[0], "chars");
  return arena.text(std::string(strip(text, set, left, right)));
}

/// startswith and endswith: one text, or a tuple of them.
Value begins_or_ends(std::string const& text, Arguments const& arguments, bool at_end) {
  const std::string_view what = at_end ? "endswith()" : "startswith()";
  const auto bound = arguments.bind(what, {"affix"}, 1);
  const auto matches = [&](Value const& value) {
    std::string const& part = need_text(value, what);
    return at_end ? text.ends_with(part) : text.starts_with(part);
  };
  Items const* items = items_of(bound[0]);
  if (items == nullptr || items->kind != Items::Kind::tuple) return matches(bound[0]);
  return std::any_of(items->values.begin(), items->values.end(), matches);
}

Value replaced(Arena& arena, std::string const& text, Arguments const& arguments) {
  const auto bound = arguments.bind("replace()", {"old", "new", "count"}, 2);
  std::string const& old = need_text(bound[0], "old");
  std::string const& with = need_text(bound[1], "new");
  std::int64_t left = is_undefined(bound[2]) ? -1 : integer_argument(bound[2], "count");
  std::string out;
  const auto add = [&](std::string_view part) {
    arena.charge(part.size());
    out += part;
  };
  std::size_t at = 0;
  while (left != 0 && at <= text.size()) {
    const std::size_t found = text.find(old, at);
    if (found == std::string::npos) break;
    arena.spend(1);
    add(std::string_view(text).substr(at, found - at));
    add(with);
    at = found + old.size();
    if (old.empty()) {  // between all characters
      if (found >= text.size()) return arena.text(std::move(out));
      std::size_t next = at;
      next_character(text, next);
      add(std::string_view(text).substr(at, next - at));
      at = next;
    }
    --left;
  }
  if (at < text.size()) add(std::string_view(text).substr(at));
  return arena.text(std::move(out));
}

Value parted(Arena& arena, std::string const& text, Arguments const& arguments, bool last) {
  std::string const bar = need_text(arguments.bind("partition()", {"sep"}, 1)[0], "sep");
  if (bar.empty()) throw Fault("partition() needs a separator that is not empty");
  const std::size_t at = last ? text.rfind(bar) : text.find(bar);
  Strings parts;
  if (at != std::string::npos) {
    parts = {text.substr(0, at), bar, text.substr(at + bar.size())};
  } else if (last) {
    parts = {"", "", text};
  } else {
    parts = {text, "", ""};
  }
  return list_of(arena, std::move(parts), Items::Kind::tuple);
}

Value found(std::string const& text, Arguments const& arguments, bool last) {
  const Value part = arguments.bind("find()", {"sub"}, 1)[0];
  std::string const& wanted = need_text(part, "sub");
  const std::size_t at = last ? text.rfind(wanted) : text.find(wanted);
  if (at == std::string::npos) return std::int64_t{-1};
  return count_characters(std::string_view(text).substr(0, at));
}

Value counted(std::string const& text, Arguments const& arguments) {
  const Value part = arguments.bind("count()", {"sub"}, 1)[0];
  std::string const& wanted = need_text(part, "sub");
  if (wanted.empty()) return count_characters(text) + 1;
  std::int64_t count = 0;
  for (std::size_t at = text.find(wanted); at != std::string::npos;
       at = text.find(wanted, at + wanted.size())) {
    ++count;
  }
  return count;
}

Value joined(Arena& arena, std::string const& bar, Arguments const& arguments) {
  const Value items = arguments.bind("join()", {"iterable"}, 1)[0];
  std::string out;
  bool first = true;
  for (Value const& value : iterate(arena, items)) {
    std::string const& part = need_text(value, "each item of join()");
    arena.charge(part.size() + bar.size());
    if (!first) out += bar;
    first = false;
    out += part;
  }
  return arena.text(std::move(out));
}

/// isdigit and the like, for ASCII: all characters of a text that is not empty.
Value all_are(std::string const& text, bool (*kind)(char32_t)) {
  if (text.empty()) return false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (c >= 0x80 && kind != is_whitespace) {
      throw Fault("the kind of a character beyond ASCII cannot be asked for");
    }
    if (!kind(c)) return false;
  }
  return true;
}

bool digit(char32_t c) {
  return c >= '0' && c <= '9';
}
bool small(char32_t c) {
  return c >= 'a' && c <= 'z';
}
bool capital(char32_t c) {
  return c >= 'A' && c <= 'Z';
}
bool letter(char32_t c) {
  return small(c) || capital(c);
}
bool letter_or_digit(char32_t c) {
  return letter(c) || digit(c);
}

using Call = Value (*)(Arena&, std::string const&, Arguments const&);

template <auto Change>
Value changed(Arena& arena, std::string const& text, Arguments const& arguments) {
  arguments.bind("a method that changes the case", {});
  return arena.text(Change(text));
}

template <auto Kind>
Value asked(Arena&, std::string const& text, Arguments const& arguments) {
  arguments.bind("a method that asks for the kind of text", {});
  return all_are(text, Kind);
}

std::string method_title(std::string_view text) {
  return title(text, false);
}

/// A letter of the one case, and none of the other.
template <auto Wanted, auto Other>
Value cased(Arena&, std::string const& text, Arguments const& arguments) {
  arguments.bind("a method that asks for the case", {});
  const std::u32string all = characters(text);
  if (lower(text) == text && upper(text) == text) return false;  // also refuses beyond ASCII
  return std::any_of(all.begin(), all.end(), Wanted) && std::none_of(all.begin(), all.end(), Other);
}

const std::map<std::string_view, Call> kMethods = {
    {"capitalize", changed<capitalize>},
    {"count", [](Arena&, std::string const& s, Arguments const& a) { return counted(s, a); }},
    {"endswith",
     [](Arena&, std::string const& s, Arguments const& a) { return begins_or_ends(s, a, true); }},
    {"find", [](Arena&, std::string const& s, Arguments const& a) { return found(s, a, false); }},
    {"isalnum", asked<letter_or_digit>},
    {"isalpha", asked<letter>},
    {"isdigit", asked<digit>},
    {"islower", cased<small, capital>},
    {"isspace", asked<is_whitespace>},
    {"isupper", cased<capital, small>},
    {"join", joined},
    {"lower", changed<lower>},
    {"lstrip", [](Arena& m, std::string const& s,
                  Arguments const& a) { return stripped(m, s, a, true, false); }},
    {"partition",
     [](Arena& m, std::string const& s, Arguments const& a) { return parted(m, s, a, false); }},
    {"removeprefix",
     [](Arena& m, std::string const& s, Arguments const& a) {
       const Value bound = a.bind("removeprefix()", {"prefix"}, 1)[0];
       std::string const& prefix = need_text(bound, "prefix");
       return m.text(s.starts_with(prefix) ? s.substr(prefix.size()) : s);
     }},
    {"removesuffix",
     [](Arena& m, std::string const& s, Arguments const& a) {
       const Value bound = a.bind("removesuffix()", {"suffix"}, 1)[0];
       std::string const& suffix = need_text(bound, "suffix");
       return m.text(s.ends_with(suffix) ? s.substr(0, s.size() - suffix.size()) : s);
     }},
    {"replace", replaced},
    {"rfind", [](Arena&, std::string const& s, Arguments const& a) { return found(s, a, true); }},
    {"rpartition",
     [](Arena& m, std::string const& s, Arguments const& a) { return parted(m, s, a, true); }},
    {"rsplit",
     [](Arena& m, std::string const& s, Arguments const& a) { return split(m, s, a, true); }},
    {"rstrip", [](Arena& m, std::string const& s,
                  Arguments const& a) { return stripped(m, s, a, false, true); }},
    {"split",
     [](Arena& m, std::string const& s, Arguments const& a) { return split(m, s, a, false); }},
    {"splitlines", split_lines},
    {"startswith",
     [](Arena&, std::string const& s, Arguments const& a) { return begins_or_ends(s, a, false); }},
    {"strip", [](Arena& m, std::string const& s,
                 Arguments const& a) { return stripped(m, s, a, true, true); }},
    {"title", changed<method_title>},
    {"upper", changed<upper>},
};

}  // namespace

Value call_text_method(Arena& arena, std::string const& text, std::string const& name,
                       Arguments const& arguments) {
  arena.spend(1, text.size());
  for (Value const& argument : arguments.values) {  // the worst that a search can take
    std::string const* part = text_of(argument);
    if (part != nullptr) arena.spend(0, text.size() * (part->size() / 64 + 1));
  }
  const auto method = kMethods.find(name);
  if (method == kMethods.end()) {
    throw Fault("the method " + name + "() of texts is not supported");
  }
  return method->second(arena, text, arguments);
}

}  // namespace lomo::jinja
