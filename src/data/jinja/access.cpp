#include <algorithm>
#include <array>
#include <cmath>

#include "calls.h"
#include "characters.h"

namespace lomo::jinja {

std::vector<Value> Arguments::bind(std::string_view what,
                                   std::initializer_list<std::string_view> names,
                                   std::size_t required) const {
  const std::string called(what);
  if (values.size() > names.size()) {
    throw Fault(called + " takes at most " + std::to_string(names.size()) +
                (names.size() == 1 ? " argument" : " arguments") + ", not " +
                std::to_string(values.size()));
  }
  std::vector<Value> bound(names.size());
  std::copy(values.begin(), values.end(), bound.begin());
  std::vector<bool> given(names.size(), false);
  std::fill_n(given.begin(), values.size(), true);
  for (auto const& [name, value] : named) {
    auto const* at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) throw Fault(called + " takes no argument \"" + name + "\"");
    const auto i = static_cast<std::size_t>(at - names.begin());
    if (given[i]) throw Fault(called + " is given \"" + name + "\" twice");
    given[i] = true;
    bound[i] = value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!given[i]) {
      throw Fault(called + " needs the argument \"" + std::string(*(names.begin() + i)) + "\"");
    }
  }
  return bound;
}

namespace {

[[noreturn]] void fail_undefined(Value const& value) {
  std::string const* what = std::get<Undefined>(value).what;
  throw Fault(what != nullptr ? *what : "a value is undefined");
}

Value loop_attribute(Arena& arena, Loop* loop, std::string const& name) {
  const auto index = static_cast<std::int64_t>(loop->index);
  const auto length = [&] {
    while (loop->reaches(loop->values.size())) {
    }
    return static_cast<std::int64_t>(loop->values.size());
  };
  if (name == "index0") return index;
  if (name == "index") return index + 1;
  if (name == "first") return index == 0;
  if (name == "last") return !loop->reaches(loop->index + 1);
  if (name == "length") return length();
  if (name == "revindex0") return length() - index - 1;
  if (name == "revindex") return length() - index;
  if (name == "depth") return std::int64_t{loop->depth} + 1;
  if (name == "depth0") return std::int64_t{loop->depth};
  if (name == "previtem") {
    if (index > 0) return loop->values[loop->index - 1];
    return arena.undefined("there is no previous item");
  }
  if (name == "nextitem") {
    if (loop->reaches(loop->index + 1)) return loop->values[loop->index + 1];
    return arena.undefined("there is no next item");
  }
  if (name == "cycle" || name == "changed") return arena.method(loop, name);
  return arena.undefined("a loop has no attribute '" + name + "'");
}

/// A method, or an attribute of a namespace or a loop; false when there is none.
bool find_attribute(Arena& arena, Value const& object, std::string const& name, Value& found) {
  if (has_method(object, name)) {
    found = arena.method(object, name);
    return true;
  }
  if (auto* const* names = get<Namespace*>(object)) {
    for (auto const& [known, value] : (*names)->members) {
      if (known == name) {
        found = value;
        return true;
      }
    }
  }
  if (auto* const* loop = get<Loop*>(object)) {
    found = loop_attribute(arena, *loop, name);
    return true;
  }
  return false;
}

Value missing(Arena& arena, Value const& object, std::string const& name) {
  return arena.undefined("a value of type " + type_name(object) + " has no '" + name + "'");
}

/// Index i of n, counted from the end when negative; false when out of range.
bool resolve_index(std::int64_t i, std::size_t n, std::size_t& index) {
  const auto count = static_cast<std::int64_t>(n);
  if (i < 0) i += count;
  if (i < 0 || i >= count) return false;
  index = static_cast<std::size_t>(i);
  return true;
}

struct Range {
  std::int64_t begin, step, count;
};

/// Python's slice.indices().
Range slice_range(std::int64_t n, Value const& start, Value const& stop, Value const& step) {
  const auto number = [](Value const& value, std::int64_t fallback) {
    if (is_undefined(value) || std::holds_alternative<None>(value)) return fallback;
    std::int64_t integer = 0;
    if (!as_integer(value, integer)) {
      throw Fault("a slice needs whole numbers, not a value of type " + type_name(value));
    }
    return integer;
  };
  const std::int64_t by = number(step, 1);
  if (by == 0) throw Fault("a slice cannot have the step 0");
  const std::int64_t low = by > 0 ? 0 : -1, high = by > 0 ? n : n - 1;
  const auto clamp = [&](std::int64_t i) {
    return i < 0 ? std::max(i < -n ? low : i + n, low) : std::min(i, high);
  };
  const std::int64_t begin = clamp(number(start, by > 0 ? 0 : INT64_MAX));
  const bool to_end = is_undefined(stop) || std::holds_alternative<None>(stop);
  const std::int64_t end = to_end ? (by > 0 ? n : -1) : clamp(number(stop, 0));
  const std::int64_t distance = by > 0 ? end - begin : begin - end;
  if (distance <= 0) return {begin, by, 0};
  const std::uint64_t stride =
      by > 0 ? static_cast<std::uint64_t>(by) : 0 - static_cast<std::uint64_t>(by);
  return {begin, by,
          static_cast<std::int64_t>((static_cast<std::uint64_t>(distance) - 1) / stride) + 1};
}

}  // namespace

Value attribute(Arena& arena, Value const& object, std::string const& name) {
  if (is_undefined(object)) fail_undefined(object);
  Value found;
  if (find_attribute(arena, object, name, found)) return found;
  if (Dict const* dict = dict_of(object)) {
    if (Value const* value = find(arena, *dict, arena.text(name))) return *value;
  }
  return missing(arena, object, name);
}

Value item(Arena& arena, Value const& object, Value const& key) {
  if (is_undefined(object)) fail_undefined(object);
  std::int64_t number = 0;
  std::size_t index = 0;
  if (Dict const* dict = dict_of(object)) {
    if (Value const* value = find(arena, *dict, key)) return *value;
  } else if (as_integer(key, number)) {
    if (Items const* items = items_of(object); items != nullptr && items->indexable()) {
      if (resolve_index(number, items->values.size(), index)) return items->values[index];
    }
    if (std::string const* text = text_of(object)) {
      arena.spend(1, text->size());
      const std::u32string all = characters(*text);
      if (resolve_index(number, all.size(), index)) {
        return arena.text(utf8(std::u32string(1, all[index])));
      }
    }
    return arena.undefined("there is no element " + std::to_string(number));
  }
  if (std::string const* name = text_of(key)) {
    Value found;
    if (find_attribute(arena, object, *name, found)) return found;
    return missing(arena, object, *name);
  }
  return missing(arena, object, repr(arena, key));
}

Value slice(Arena& arena, Value const& object, Value const& start, Value const& stop,
            Value const& step) {
  if (is_undefined(object)) fail_undefined(object);
  if (std::string const* text = text_of(object)) {
    arena.spend(1, text->size());
    const std::u32string all = characters(*text);
    const Range range = slice_range(static_cast<std::int64_t>(all.size()), start, stop, step);
    std::u32string some;
    for (std::int64_t i = 0; i < range.count; ++i) {
      some += all[static_cast<std::size_t>(range.begin + i * range.step)];
    }
    return arena.text(utf8(some));
  }
  Items const* items = items_of(object);
  if (items == nullptr || !items->indexable()) {
    throw Fault("a value of type " + type_name(object) + " cannot be sliced");
  }
  const Range range =
      slice_range(static_cast<std::int64_t>(items->values.size()), start, stop, step);
  std::vector<Value> some;
  for (std::int64_t i = 0; i < range.count; ++i) {
    some.push_back(items->values[static_cast<std::size_t>(range.begin + i * range.step)]);
  }
  return arena.items(std::move(some), items->kind);
}

std::string text_argument(Arena& arena, Value const& value) {
  return to_text(arena, value);
}

std::int64_t integer_argument(Value const& value, std::string_view what) {
  std::int64_t number = 0;
  if (as_integer(value, number)) return number;
  throw Fault(std::string(what) + " must be a whole number, not a value of type " +
              type_name(value));
}

std::string const& need_text(Value const& value, std::string_view what) {
  if (std::string const* text = text_of(value)) return *text;
  throw Fault(std::string(what) + " must be a text, not a value of type " + type_name(value));
}

Value path(Arena& arena, Value object, Value const& attribute_path, Value const& otherwise) {
  const auto step = [&](Value const& key) {
    object = item(arena, object, key);
    if (is_undefined(object)) object = is_undefined(otherwise) ? object : otherwise;
  };
  std::string const* names = text_of(attribute_path);
  if (names == nullptr) step(attribute_path);
  for (std::size_t at = 0; names != nullptr && at <= names->size();) {
    const std::size_t end = std::min(names->find('.', at), names->size());
    const std::string part = names->substr(at, end - at);
    const bool digits = !part.empty() && part.size() < 18 &&
                        part.find_first_not_of("0123456789") == std::string::npos;
    step(digits ? Value(std::int64_t{std::stoll(part)}) : arena.text(part));
    at = end + 1;
  }
  return object;
}

}  // namespace lomo::jinja
