#include <charconv>
#include <cmath>
#include <map>

#include "calls.h"
#include "characters.h"

namespace lomo::jinja {

namespace {

template <auto Change>
Value cased(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("a filter that changes the case", {});
  return arena.text(Change(text_argument(arena, input)));
}

std::string filter_title(std::string_view text) {
  return title(text, true);
}

Value trim(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("trim", {"chars"});
  const std::string text = text_argument(arena, input);
  if (is_undefined(bound[0]) || std::holds_alternative<None>(bound[0])) {
    return arena.text(std::string(strip(text, true, true)));
  }
  return arena.text(std::string(strip(text, need_text(bound[0], "chars"), true, true)));
}

Value fallback(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("default", {"default_value", "boolean"});
  if (is_undefined(input) || (truth(bound[1]) && !truth(input))) {
    const bool given = !arguments.values.empty() || !is_undefined(bound[0]);
    return given ? bound[0] : arena.text("");
  }
  return input;
}

Value tojson(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound =
      arguments.bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = truth(bound[0]);
  style.sort_keys = truth(bound[3]);
  if (!is_undefined(bound[1]) && !std::holds_alternative<None>(bound[1])) {
    style.indented = true;
    style.item_separator = ",";
    if (std::string const* indent = text_of(bound[1])) {
      style.indent = *indent;
    } else {
      const std::int64_t spaces = integer_argument(bound[1], "indent");
      if (spaces > 1000) throw Fault("indent must be at most 1000");
      style.indent.assign(spaces > 0 ? static_cast<std::size_t>(spaces) : 0, ' ');
    }
  }
  if (Items const* separators = items_of(bound[2])) {
    if (separators->values.size() != 2) throw Fault("separators must be two texts");
    style.item_separator = need_text(separators->values[0], "separators");
    style.key_separator = need_text(separators->values[1], "separators");
  }
  return arena.text(to_json_text(arena, input, style));
}

Value as_string(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("string", {});
  return text_of(input) != nullptr ? input : arena.text(text_argument(arena, input));
}

Value safe(Arena& arena, Value const& input, Arguments const& arguments) {
  arguments.bind("safe", {});
  return arena.text(text_argument(arena, input), true);
}

Value replaced(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("replace", {"old", "new", "count"}, 2);
  Arguments inner;
  inner.values = {arena.text(text_argument(arena, bound[0])),
                  arena.text(text_argument(arena, bound[1]))};
  if (!is_undefined(bound[2]) && !std::holds_alternative<None>(bound[2])) {
    inner.values.push_back(bound[2]);
  }
  return call_text_method(arena, text_argument(arena, input), "replace", inner);
}

Value counted(Arena&, Value const& input, Arguments const& arguments) {
  arguments.bind("length", {});
  return length(input);
}

Value indented(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("indent", {"width", "first", "blank"});
  std::string margin(4, ' ');
  if (std::string const* text = text_of(bound[0])) {
    margin = *text;
  } else if (!is_undefined(bound[0])) {
    const std::int64_t width = integer_argument(bound[0], "width");
    if (width > 1000) throw Fault("width must be at most 1000");
    margin.assign(width > 0 ? static_cast<std::size_t>(width) : 0, ' ');
  }
  Arguments none;
  const Value lines =
      call_text_method(arena, text_argument(arena, input) + "\n", "splitlines", none);
  std::string out;
  bool first = true;
  for (Value const& line : items_of(lines)->values) {
    std::string const& text = *text_of(line);
    arena.charge(text.size() + margin.size() + 1);
    if (!first) out += "\n";
    if (first ? truth(bound[1]) : truth(bound[2]) || !text.empty()) out += margin;
    out += text;
    first = false;
  }
  return arena.text(std::move(out));
}

/// Text as a number, as Python's float() reads it, whitespace around it allowed.
bool read_number(std::string_view text, double& number) {
  text = strip(text, true, true);
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

Value to_integer(Arena&, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("int", {"default", "base"});
  if (!is_undefined(bound[1])) {
    if (integer_argument(bound[1], "base") != 10) throw Fault("int reads base 10 only");
  }
  if (is_undefined(input)) {
    throw Fault("int needs a value, and this one is undefined");
  }
  const Value otherwise = is_undefined(bound[0]) ? Value(std::int64_t{0}) : bound[0];
  std::int64_t whole = 0;
  if (as_integer(input, whole)) return whole;
  double number = 0;
  if (std::string const* text = text_of(input)) {
    std::string_view digits = strip(*text, true, true);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
    if (end.ec == std::errc() && end.ptr == digits.data() + digits.size()) return whole;
    if (!read_number(*text, number)) return otherwise;
  } else if (!as_number(input, number)) {
    return otherwise;
  }
  if (std::isnan(number) || std::isinf(number)) return otherwise;
  if (std::abs(number) >= 0x1p63) throw Fault("a whole number needs more than 64 bits");
  return static_cast<std::int64_t>(number);
}

Value to_floating(Arena&, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("float", {"default"});
  double number = 0;
  if (as_number(input, number)) return number;
  std::string const* text = text_of(input);
  if (text != nullptr && read_number(*text, number)) return number;
  return is_undefined(bound[0]) ? Value(0.0) : bound[0];
}

Value absolute(Arena&, Value const& input, Arguments const& arguments) {
  arguments.bind("abs", {});
  std::int64_t whole = 0;
  if (as_integer(input, whole)) {
    if (whole == INT64_MIN) throw Fault("a whole number needs more than 64 bits");
    return whole < 0 ? -whole : whole;
  }
  double number = 0;
  if (!as_number(input, number)) throw Fault("abs needs a number");
  return std::abs(number);
}

Value rounded(Arena& arena, Value const& input, Arguments const& arguments) {
  const auto bound = arguments.bind("round", {"precision", "method"});
  const std::int64_t digits = is_undefined(bound[0]) ? 0 : integer_argument(bound[0], "precision");
  const std::string method = is_undefined(bound[1]) ? "common" : text_argument(arena, bound[1]);
  double number = 0;
  if (!as_number(input, number)) throw Fault("round needs a number");
  if (std::isnan(number) || std::isinf(number)) return number;
  if (method == "common") {
    if (digits < 0 || digits > 300) throw Fault("precision must be between 0 and 300");
    char buffer[700];  // nearest, halves to the even digit, as Python rounds
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed,
                                   static_cast<int>(digits));
    std::int64_t whole = 0;
    if (as_integer(input, whole)) return whole;
    std::from_chars(buffer, end.ptr, number);
    return number;
  }
  if (method != "ceil" && method != "floor") {
    throw Fault("the method of round must be common, ceil or floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  return (method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale;
}

const std::map<std::string_view, Filter> kFilters = {
    {"abs", absolute},
    {"capitalize", cased<capitalize>},
    {"count", counted},
    {"d", fallback},
    {"default", fallback},
    {"float", to_floating},
    {"indent", indented},
    {"int", to_integer},
    {"length", counted},
    {"lower", cased<lower>},
    {"replace", replaced},
    {"round", rounded},
    {"safe", safe},
    {"string", as_string},
    {"title", cased<filter_title>},
    {"tojson", tojson},
    {"trim", trim},
    {"upper", cased<upper>},
};

}  // namespace

Value apply_filter(Arena& arena, std::string const& name, Value const& input,
                   Arguments const& arguments) {
  arena.spend(1);
  const auto filter = kFilters.find(name);
  if (filter != kFilters.end()) return filter->second(arena, input, arguments);
  if (const Filter of_lists = find_list_filter(name)) return of_lists(arena, input, arguments);
  throw Fault("the filter '" + name + "' is not supported");
}

}  // namespace lomo::jinja
