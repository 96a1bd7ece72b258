#include <algorithm>
#include <map>

#include "calls.h"
#include "characters.h"

namespace lomo::jinja {

namespace {

Value generator(Arena& arena, std::vector<Value> values) {
  return arena.items(std::move(values), Items::Kind::generator);
}

/// What is compared: the attribute where one is named, texts in small letters unless asked not to.
Value sort_key(Arena& arena, Value value, Value const& attribute_path, bool case_sensitive) {
  if (given(attribute_path)) value = path(arena, value, attribute_path);
  std::string const* text = text_of(value);
  return text != nullptr && !case_sensitive ? arena.text(lower(*text)) : value;
}

/// Stable, by keys; throws Fault when two keys have no order.
std::vector<Value> sorted(Arena& arena, std::vector<std::pair<Value, Value>> keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](auto const& a, auto const& b) {
    return (reverse ? order(arena, b.first, a.first, "<") : order(arena, a.first, b.first, "<")) <
           0;
  });
  std::vector<Value> values;
  for (auto const& entry : keyed) values.push_back(entry.second);
  return values;
}

Value sort(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("sort", {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> keyed;
  for (Value const& value : iterate(arena, input)) {
    const Value key = sort_key(arena, value, bound[2], truth(bound[1]));
    keyed.emplace_back(arena.items({key}), value);  // lists, so that equal keys need no order
  }
  return arena.items(sorted(arena, std::move(keyed), truth(bound[0])));
}

Value dictsort(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("dictsort", {"case_sensitive", "by", "reverse"});
  Dict const* dict = dict_of(input);
  if (dict == nullptr) throw Fault("dictsort needs a dict");
  const std::string by = is_undefined(bound[1]) ? "key" : need_text(bound[1], "by");
  if (by != "key" && by != "value") throw Fault("dictsort sorts by \"key\" or \"value\"");
  std::vector<std::pair<Value, Value>> keyed;
  for (auto const& [key, value] : dict->members) {
    keyed.emplace_back(sort_key(arena, by == "key" ? key : value, {}, truth(bound[0])),
                       arena.items({key, value}, Items::Kind::tuple));
  }
  return arena.items(sorted(arena, std::move(keyed), truth(bound[2])));
}

Value extreme(Arena& arena, Value const& input, Arguments const& arguments, bool largest) {
  const auto bound = arguments.bind(largest ? "max" : "min", {"case_sensitive", "attribute"});
  const std::vector<Value> values = iterate(arena, input);
  if (values.empty()) return arena.undefined("there is no item, the list was empty");
  Value best = values.front();
  Value best_key = sort_key(arena, best, bound[1], truth(bound[0]));
  for (std::size_t i = 1; i < values.size(); ++i) {
    const Value key = sort_key(arena, values[i], bound[1], truth(bound[0]));
    if (largest ? order(arena, key, best_key, ">") > 0 : order(arena, key, best_key, "<") < 0) {
      best = values[i];
      best_key = key;
    }
  }
  return best;
}

Value minimum(Arena& arena, Value const& input, Arguments const& arguments) {
  return extreme(arena, input, arguments, false);
}
Value maximum(Arena& arena, Value const& input, Arguments const& arguments) {
  return extreme(arena, input, arguments, true);
}

Value unique(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("unique", {"case_sensitive", "attribute"});
  std::vector<Value> keys, values;
  for (Value const& value : iterate(arena, input)) {
    const Value key = sort_key(arena, value, bound[1], truth(bound[0]));
    if (std::any_of(keys.begin(), keys.end(),
                    [&](Value const& k) { return equal(arena, k, key); })) {
      continue;
    }
    keys.push_back(key);
    values.push_back(value);
  }
  return generator(arena, std::move(values));
}

Value join(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("join", {"d", "attribute"});
  const std::string bar = is_undefined(bound[0]) ? "" : text_argument(arena, bound[0]);
  std::string out;
  bool first = true;
  for (Value const& value : iterate(arena, input)) {
    const std::string part =
        text_argument(arena, given(bound[1]) ? path(arena, value, bound[1]) : value);
    arena.charge(part.size() + bar.size());
    if (!first) out += bar;
    first = false;
    out += part;
  }
  return arena.text(std::move(out));
}

Value as_list(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("list", {});
  return arena.items(iterate(arena, input));
}

Value first(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("first", {});
  const std::vector<Value> values = iterate(arena, input);
  return values.empty() ? arena.undefined("there is no first item, the list was empty")
                        : values.front();
}

Value last(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("last", {});
  Items const* items = items_of(input);
  if (items != nullptr && items->kind == Items::Kind::generator) {
    throw Fault("last needs a list; write list before it");
  }
  const std::vector<Value> values = iterate(arena, input);
  return values.empty() ? arena.undefined("there is no last item, the list was empty")
                        : values.back();
}

Value reversed(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("reverse", {});
  if (std::string const* text = text_of(input)) {
    std::u32string all = characters(*text);
    std::reverse(all.begin(), all.end());
    return arena.text(utf8(all));
  }
  std::vector<Value> values = iterate(arena, input);
  std::reverse(values.begin(), values.end());
  return generator(arena, std::move(values));
}

Value sum(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("sum", {"attribute", "start"});
  Value total = is_undefined(bound[1]) ? Value(std::int64_t{0}) : bound[1];
  if (text_of(total) != nullptr) throw Fault("sum cannot add up texts; use join");
  for (Value const& value : iterate(arena, input)) {
    total = binary(arena, "+", total, given(bound[0]) ? path(arena, value, bound[0]) : value);
  }
  return total;
}

Value dict_items(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("items", {});
  if (is_undefined(input)) return generator(arena, {});
  Dict const* dict = dict_of(input);
  if (dict == nullptr) throw Fault("items needs a dict");
  std::vector<Value> pairs;
  for (auto const& [key, value] : dict->members) {
    pairs.push_back(arena.items({key, value}, Items::Kind::tuple));
  }
  return generator(arena, std::move(pairs));
}

/// map('filter', ...) or map(attribute=..., default=...).
Value mapped(Arena& arena, Value const& input, Arguments const& arguments) {
  std::vector<Value> values;
  if (arguments.values.empty()) {
    const auto bound = arguments.bind("map", {"attribute", "default"}, 1);
    for (Value const& value : iterate(arena, input)) {
      values.push_back(path(arena, value, bound[0], given(bound[1]) ? bound[1] : Value{}));
    }
    return generator(arena, std::move(values));
  }
  std::string const& filter = need_text(arguments.values.front(), "the filter of map");
  Arguments rest = arguments;
  rest.values.erase(rest.values.begin());
  for (Value const& value : iterate(arena, input)) {
    values.push_back(apply_filter(arena, filter, value, rest));
  }
  return generator(arena, std::move(values));
}

/// select, reject, selectattr and rejectattr: values that pass a test, or that are true.
template <bool ByAttribute, bool Wanted>
Value chosen(Arena& arena, Value const& input, Arguments const& arguments) {
  constexpr std::size_t kTest = ByAttribute ? 1 : 0;
  if (arguments.values.size() < kTest) throw Fault("the name of the attribute is missing");
  if (!truth(input)) return generator(arena, {});
  Arguments rest = arguments;
  rest.values.erase(rest.values.begin(), rest.values.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                   kTest + 1, rest.values.size())));
  std::vector<Value> values;
  for (Value const& value : iterate(arena, input)) {
    const Value looked_at = ByAttribute ? path(arena, value, arguments.values[0]) : value;
    const bool passes =
        arguments.values.size() > kTest
            ? apply_test(arena, need_text(arguments.values[kTest], "the name of the test"),
                         looked_at, rest)
            : truth(looked_at);
    if (passes == Wanted) values.push_back(value);
  }
  return generator(arena, std::move(values));
}

const std::map<std::string_view, Filter> kListFilters = {
    {"dictsort", dictsort},
    {"first", first},
    {"items", dict_items},
    {"join", join},
    {"last", last},
    {"list", as_list},
    {"map", mapped},
    {"max", maximum},
    {"min", minimum},
    {"reject", chosen<false, false>},
    {"rejectattr", chosen<true, false>},
    {"reverse", reversed},
    {"select", chosen<false, true>},
    {"selectattr", chosen<true, true>},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

Filter find_list_filter(std::string_view name) {
  const auto filter = kListFilters.find(name);
  return filter == kListFilters.end() ? nullptr : filter->second;
}

}  // namespace lomo::jinja
