#include <algorithm>
#include <array>

#include "calls.h"

namespace lomo::jinja {

namespace {

constexpr auto kOfText = std::to_array<std::string_view>(
    {"capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
     "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
     "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
     "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
     "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
     "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
     "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
     "swapcase",     "title",       "translate", "upper",      "zfill"});
constexpr auto kOfDict =
    std::to_array<std::string_view>({"clear", "copy", "fromkeys", "get", "items", "keys", "pop",
                                     "popitem", "setdefault", "update", "values"});
constexpr auto kOfList =
    std::to_array<std::string_view>({"append", "clear", "copy", "count", "extend", "index",
                                     "insert", "pop", "remove", "reverse", "sort"});
constexpr auto kOfTuple = std::to_array<std::string_view>({"count", "index"});

template <std::size_t N>
bool among(std::array<std::string_view, N> const& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value call_dict_method(Arena& arena, Value const& receiver, Dict const& dict,
                       std::string const& name, Arguments const& arguments) {
  if (name == "get") {
    const auto bound = arguments.bind("get()", {"key", "default"}, 1);
    if (!arguments.named.empty()) throw Fault("get() takes no arguments with names");
    if (Value const* value = find(arena, dict, bound[0])) return *value;
    // A default that was given may itself be undefined.
    const bool given = arguments.values.size() > 1;
    return given ? bound[1] : Value(None{});
  }
  arguments.bind(name + "()", {});
  if (name == "copy") return receiver;  // nothing can change either of them
  std::vector<Value> view;
  for (auto const& [key, value] : dict.members) {
    if (name == "keys") {
      view.push_back(key);
    } else if (name == "values") {
      view.push_back(value);
    } else if (name == "items") {
      view.push_back(arena.items({key, value}, Items::Kind::tuple));
    }
  }
  if (name == "keys" || name == "values" || name == "items") {
    return arena.items(std::move(view), Items::Kind::view);
  }
  throw Fault("the method " + name +
              "() of dicts is not supported; templates cannot change values");
}

Value call_list_method(Arena& arena, Items const& items, std::string const& name,
                       Arguments const& arguments) {
  if (name != "count" && name != "index") {
    throw Fault("the method " + name +
                "() of lists is not supported; templates cannot change values");
  }
  const Value wanted = arguments.bind(name + "()", {"value"}, 1)[0];
  std::int64_t count = 0;
  for (std::size_t i = 0; i < items.values.size(); ++i) {
    if (!equal(arena, items.values[i], wanted)) continue;
    if (name == "index") return static_cast<std::int64_t>(i);
    ++count;
  }
  if (name == "count") return count;
  throw Fault("index(): the value is not in the list");
}

Value call_loop_method(Arena& arena, Loop& loop, std::string const& name,
                       Arguments const& arguments) {
  if (name == "cycle") {
    if (arguments.values.empty()) throw Fault("loop.cycle() needs values");
    return arguments.values[loop.index % arguments.values.size()];
  }
  bool same = loop.asked && loop.changed.size() == arguments.values.size();
  for (std::size_t i = 0; same && i < loop.changed.size(); ++i) {
    same = equal(arena, loop.changed[i], arguments.values[i]);
  }
  loop.asked = true;
  loop.changed = arguments.values;
  return !same;
}

}  // namespace

bool has_method(Value const& object, std::string_view name) {
  if (text_of(object) != nullptr) return among(kOfText, name);
  if (dict_of(object) != nullptr) return among(kOfDict, name);
  Items const* items = items_of(object);
  if (items == nullptr || !items->indexable()) return false;
  return items->kind == Items::Kind::list ? among(kOfList, name) : among(kOfTuple, name);
}

Value call_method(Arena& arena, Method const& method, Arguments const& arguments) {
  if (std::string const* text = text_of(method.receiver)) {
    return call_text_method(arena, *text, method.name, arguments);
  }
  if (Dict const* dict = dict_of(method.receiver)) {
    return call_dict_method(arena, method.receiver, *dict, method.name, arguments);
  }
  if (Items const* items = items_of(method.receiver)) {
    return call_list_method(arena, *items, method.name, arguments);
  }
  return call_loop_method(arena, *std::get<Loop*>(method.receiver), method.name, arguments);
}

}  // namespace lomo::jinja
