#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "value.h"

namespace lomo::jinja {

/// What a function, filter or test is given, its input apart.
struct Arguments {
  std::vector<Value> values;
  std::vector<std::pair<std::string, Value>> named;

  /// Values in the order of `names`, undefined where not given. Throws Fault when the first
  /// `required` are not all given, or others are.
  std::vector<Value> bind(std::string_view what, std::initializer_list<std::string_view> names,
                          std::size_t required = 0) const;
};

/// object.name: methods and attributes first, then members of dicts; undefined when neither is
/// there.
Value attribute(Arena& arena, Value const& object, std::string const& name);
/// object[key]: members and elements first, then attributes.
Value item(Arena& arena, Value const& object, Value const& key);
/// object[start:stop:step]; undefined parts are left out.
Value slice(Arena& arena, Value const& object, Value const& start, Value const& stop,
            Value const& step);
Value binary(Arena& arena, std::string_view op, Value const& a, Value const& b);

Value call_method(Arena& arena, Method const& method, Arguments const& arguments);
Value call_text_method(Arena& arena, std::string const& text, std::string const& name,
                       Arguments const& arguments);
/// Whether Python's str, dict, list or tuple has a method of this name, supported or not.
bool has_method(Value const& object, std::string_view name);

/// Filters and tests by name. Throw Fault for one that is not there.
Value apply_filter(Arena& arena, std::string const& name, Value const& input,
                   Arguments const& arguments);
bool apply_test(Arena& arena, std::string const& name, Value const& input,
                Arguments const& arguments);

/// A filter's implementation, and the ones that work on lists; null when there is none.
using Filter = Value (*)(Arena&, Value const&, Arguments const&);
Filter find_list_filter(std::string_view name);

/// Whether an argument has a value: neither undefined nor none.
inline bool given(Value const& value) {
  return !is_undefined(value) && !std::holds_alternative<None>(value);
}
/// The text of a value, as filters of Jinja take it: str() of anything.
std::string text_argument(Arena& arena, Value const& value);
/// Throws Fault naming `what` unless the value is a whole number.
std::int64_t integer_argument(Value const& value, std::string_view what);
/// Throws Fault naming `what` unless the value is a text.
std::string const& need_text(Value const& value, std::string_view what);
/// The attribute of a filter such as map: "a.b.0", or a whole number. `otherwise`, unless
/// undefined, stands for what is not there.
Value path(Arena& arena, Value object, Value const& attribute_path, Value const& otherwise = {});

}  // namespace lomo::jinja
