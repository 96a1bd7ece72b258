#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lomo/data/jinja.h"
#include "syntax.h"

namespace lomo::jinja {

struct Scope;

/// What went wrong, without its place, which the evaluator knows.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Values are small and copied; what they point to lives in the Arena of one rendering and never
/// changes, namespaces and loops apart.
struct Undefined {
  std::string const* what = nullptr;  // what was not there, for messages
};
struct None {};
struct Items;
struct Dict;
struct Namespace;
struct Loop;
struct Macro;
struct Method;
enum class Builtin : std::uint8_t { range, name_space, dict, raise_exception, strftime_now };

using Value = std::variant<Undefined, None, bool, std::int64_t, double, Text const*, Items const*,
                           Dict const*, Namespace*, Loop*, Macro const*, Method const*, Builtin>;

struct Items {
  enum class Kind : std::uint8_t { list, tuple, range, view, generator };
  Kind kind = Kind::list;
  std::vector<Value> values;
  int depth = 1;
  mutable bool consumed = false;  // a generator gives its values once

  bool indexable() const { return kind != Kind::view && kind != Kind::generator; }
};
struct Dict {
  std::vector<std::pair<Value, Value>> members;  // in the order of insertion
  int depth = 1;
};
struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
};
struct Loop {
  std::vector<Value> values;        // read so far
  std::function<bool(Loop&)> read;  // adds the next one; false at the end
  std::size_t index = 0;            // of the value that is being gone through
  int depth = 0;                    // of recursion
  Stmt const* statement = nullptr;  // of a recursive loop, else null
  Scope* scope = nullptr;           // where it stands
  std::vector<Value> changed;       // what loop.changed() was given last
  bool asked = false;               // whether it was

  /// Whether there is a value of this index.
  bool reaches(std::size_t wanted) {
    while (values.size() <= wanted) {
      if (!read(*this)) return false;
    }
    return true;
  }
};
struct Macro {
  Stmt const* statement = nullptr;
  Scope* scope = nullptr;
};
struct Method {
  Value receiver;
  std::string name;
};
/// Names of one block; lookups go outwards.
struct Scope {
  Scope* outer = nullptr;
  std::vector<std::pair<std::string_view, Value>> names;
};

/// Owns what the values of one rendering point to, and counts what the rendering costs.
class Arena {
 public:
  explicit Arena(Limits const& limits) : limits_(limits) {}

  /// Counts work: `steps`, and one more for each 64 of `bytes`.
  void spend(std::size_t steps, std::size_t bytes = 0);
  /// Counts memory that is about to be taken.
  void charge(std::size_t bytes);

  Value text(std::string bytes, bool safe = false);
  Value items(std::vector<Value> values, Items::Kind kind = Items::Kind::list);
  Value dict(std::vector<std::pair<Value, Value>> members);
  Value undefined(std::string what);
  Value method(Value receiver, std::string name);
  Value macro(Stmt const* statement, Scope* scope);
  Namespace* name_space();
  Loop* loop();
  Scope* scope(Scope* outer);
  Value from_json(Json const& json, int depth = 0);

 private:
  Limits limits_;
  std::size_t steps_ = 0, bytes_ = 0;
  std::deque<Text> texts_;
  std::deque<Items> items_;
  std::deque<Dict> dicts_;
  std::deque<std::string> names_;
  std::deque<Method> methods_;
  std::deque<Macro> macros_;
  std::deque<Namespace> namespaces_;
  std::deque<Loop> loops_;
  std::deque<Scope> scopes_;
};

/// The most levels of lists and dicts in each other, so that walking them cannot exhaust the stack.
inline constexpr int kDeepestValue = 100;

template <class T>
T const* get(Value const& value) {
  return std::get_if<T>(&value);
}
/// The bytes of a text, null for anything else.
std::string const* text_of(Value const& value);
Items const* items_of(Value const& value);
Dict const* dict_of(Value const& value);
bool is_undefined(Value const& value);
/// Whole numbers and truth values, as Python counts them.
bool as_integer(Value const& value, std::int64_t& number);
/// The same and floating point.
bool as_number(Value const& value, double& number);

/// Python's name of the type, for messages.
std::string type_name(Value const& value);
bool truth(Value const& value);
bool equal(Arena& arena, Value const& a, Value const& b);
/// Below zero, zero, above zero; `op` is named when the types have no order.
int order(Arena& arena, Value const& a, Value const& b, std::string_view op);
bool contains(Arena& arena, Value const& container, Value const& value);
/// The value of `key`, null when there is none.
Value const* find(Arena& arena, Dict const& dict, Value const& key);
/// Adds or replaces; keys must be texts, numbers, None or tuples.
void insert(Arena& arena, std::vector<std::pair<Value, Value>>& members, Value key, Value value);
/// What a loop over the value yields.
std::vector<Value> iterate(Arena& arena, Value const& value);
std::int64_t length(Value const& value);

/// Python's str() and repr().
std::string to_text(Arena& arena, Value const& value);
std::string repr(Arena& arena, Value const& value);
std::string number_text(double number);

/// json.dumps(value, ensure_ascii=False, ...).
struct JsonStyle {
  std::string item_separator = ", ", key_separator = ": ";
  bool indented = false;
  std::string indent;
  bool sort_keys = false;
  bool ascii = false;
};
std::string to_json_text(Arena& arena, Value const& value, JsonStyle const& style);

}  // namespace lomo::jinja
