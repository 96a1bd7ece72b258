#include <algorithm>
#include <map>

#include "calls.h"
#include "characters.h"

namespace lomo::jinja {

namespace {

using Test = bool (*)(Arena&, Value const&, Arguments const&);

template <class T>
bool holds(Arena&, Value const& value, Arguments const& arguments) {
  arguments.bind("this test", {});
  return std::holds_alternative<T>(value);
}

Value other(Arguments const& arguments) {
  return arguments.bind("this test", {"other"}, 1)[0];
}

bool is_integer_value(Value const& value) {
  std::int64_t number = 0;
  return as_integer(value, number);
}

bool remainder_is(Arena& arena, Value const& value, std::int64_t by, std::int64_t wanted) {
  return equal(arena, binary(arena, "%", value, by), wanted);
}

/// Letters of one case only, and at least one; of text or of what is written as text.
bool in_case(Arena& arena, Value const& value, bool wanted_upper) {
  const std::string text = to_text(arena, value);
  const std::string raised = upper(text), lowered = lower(text);
  return raised != lowered && text == (wanted_upper ? raised : lowered);
}

bool callable(Value const& value) {
  return get<Macro const*>(value) != nullptr || get<Method const*>(value) != nullptr ||
         get<Builtin>(value) != nullptr || get<Loop*>(value) != nullptr;
}

bool equals(Arena& arena, Value const& value, Arguments const& arguments) {
  return equal(arena, value, other(arguments));
}
bool differs(Arena& arena, Value const& value, Arguments const& arguments) {
  return !equal(arena, value, other(arguments));
}
bool less(Arena& arena, Value const& value, Arguments const& arguments) {
  return order(arena, value, other(arguments), "<") < 0;
}
bool at_most(Arena& arena, Value const& value, Arguments const& arguments) {
  return order(arena, value, other(arguments), "<=") <= 0;
}
bool greater(Arena& arena, Value const& value, Arguments const& arguments) {
  return order(arena, value, other(arguments), ">") > 0;
}
bool at_least(Arena& arena, Value const& value, Arguments const& arguments) {
  return order(arena, value, other(arguments), ">=") >= 0;
}

bool same(Arena& arena, Value const& value, Arguments const& arguments) {
  const Value with = other(arguments);
  if (value.index() != with.index()) return false;
  if (auto const* const* text = get<Text const*>(value))
    return *text == std::get<Text const*>(with);
  if (Items const* items = items_of(value)) return items == items_of(with);
  if (Dict const* dict = dict_of(value)) return dict == dict_of(with);
  return equal(arena, value, with);
}

const std::map<std::string_view, Test> kTests = {
    {"!=", differs},
    {"<", less},
    {"<=", at_most},
    {"==", equals},
    {">", greater},
    {">=", at_least},
    {"boolean", holds<bool>},
    {"callable", [](Arena&, Value const& v, Arguments const&) { return callable(v); }},
    {"defined", [](Arena&, Value const& v, Arguments const&) { return !is_undefined(v); }},
    {"divisibleby",
     [](Arena& m, Value const& v, Arguments const& a) {
       return remainder_is(m, v, integer_argument(other(a), "the divisor"), 0);
     }},
    {"eq", equals},
    {"equalto", equals},
    {"even", [](Arena& m, Value const& v, Arguments const&) { return remainder_is(m, v, 2, 0); }},
    {"false", [](Arena&, Value const& v,
                 Arguments const&) { return get<bool>(v) != nullptr && !*get<bool>(v); }},
    {"float", holds<double>},
    {"ge", at_least},
    {"greaterthan", greater},
    {"gt", greater},
    {"in", [](Arena& m, Value const& v, Arguments const& a) { return contains(m, other(a), v); }},
    {"integer", holds<std::int64_t>},
    {"iterable",
     [](Arena&, Value const& v, Arguments const&) {
       return is_undefined(v) || text_of(v) != nullptr || items_of(v) != nullptr ||
              dict_of(v) != nullptr;
     }},
    {"le", at_most},
    {"lessthan", less},
    {"lower", [](Arena& m, Value const& v, Arguments const&) { return in_case(m, v, false); }},
    {"lt", less},
    {"mapping", holds<Dict const*>},
    {"ne", differs},
    {"none", holds<None>},
    {"number", [](Arena&, Value const& v,
                  Arguments const&) { return is_integer_value(v) || get<double>(v) != nullptr; }},
    {"odd", [](Arena& m, Value const& v, Arguments const&) { return remainder_is(m, v, 2, 1); }},
    {"sameas", same},
    {"sequence",
     [](Arena&, Value const& v, Arguments const&) {
       Items const* items = items_of(v);
       return text_of(v) != nullptr || dict_of(v) != nullptr ||
              (items != nullptr && items->indexable());
     }},
    {"string", [](Arena&, Value const& v, Arguments const&) { return text_of(v) != nullptr; }},
    {"true", [](Arena&, Value const& v,
                Arguments const&) { return get<bool>(v) != nullptr && *get<bool>(v); }},
    {"undefined", [](Arena&, Value const& v, Arguments const&) { return is_undefined(v); }},
    {"upper", [](Arena& m, Value const& v, Arguments const&) { return in_case(m, v, true); }},
};

}  // namespace

bool apply_test(Arena& arena, std::string const& name, Value const& input,
                Arguments const& arguments) {
  arena.spend(1);
  const auto test = kTests.find(name);
  if (test == kTests.end()) throw Fault("the test '" + name + "' is not supported");
  return test->second(arena, input, arguments);
}

}  // namespace lomo::jinja
