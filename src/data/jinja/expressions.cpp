#include <algorithm>
#include <cstring>

#include "characters.h"
#include "evaluator.h"

namespace lomo::jinja {

namespace {

constexpr std::int64_t kLongestRange = 100'000;  // as in Jinja's sandbox

constexpr std::pair<std::string_view, Builtin> kBuiltins[] = {
    {"range", Builtin::range},
    {"namespace", Builtin::name_space},
    {"dict", Builtin::dict},
    {"raise_exception", Builtin::raise_exception},
    {"strftime_now", Builtin::strftime_now}};

Value make_range(Arena& arena, Arguments const& arguments) {
  std::vector<std::int64_t> numbers;
  for (Value const& value : arguments.values) {
    numbers.push_back(integer_argument(value, "each argument of range()"));
  }
  if (numbers.empty() || numbers.size() > 3 || !arguments.named.empty()) {
    throw Fault("range() takes one to three numbers");
  }
  if (numbers.size() == 1) numbers.insert(numbers.begin(), 0);
  if (numbers.size() == 2) numbers.push_back(1);
  const std::int64_t step = numbers[2];
  if (step == 0) throw Fault("range() cannot have the step 0");
  std::vector<Value> values;
  std::int64_t i = numbers[0];
  while (step > 0 ? i < numbers[1] : i > numbers[1]) {
    if (static_cast<std::int64_t>(values.size()) == kLongestRange) {
      throw Fault("range() of more than " + std::to_string(kLongestRange) + " numbers");
    }
    values.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return arena.items(std::move(values), Items::Kind::range);
}

/// The members that dict() and namespace() make of a dict or pairs, and of names.
std::vector<std::pair<Value, Value>> members(Arena& arena, Arguments const& arguments) {
  std::vector<std::pair<Value, Value>> all;
  if (arguments.values.size() > 1) throw Fault("dict() takes at most one argument without a name");
  for (Value const& source : arguments.values) {
    if (Dict const* dict = dict_of(source)) {
      all = dict->members;
      continue;
    }
    for (Value const& pair : iterate(arena, source)) {
      const std::vector<Value> two = iterate(arena, pair);
      if (two.size() != 2) throw Fault("dict() needs pairs of a key and a value");
      insert(arena, all, two[0], two[1]);
    }
  }
  for (auto const& [name, value] : arguments.named) insert(arena, all, arena.text(name), value);
  return all;
}

std::string formatted_time(std::string const& format, std::tm const& time) {
  if (format.find('\0') != std::string::npos || format.size() > 1000) {
    throw Fault("strftime_now() needs a short text");
  }
  // A result may be empty, which strftime does not tell from one that is too long.
  const std::string marked = format + "|";
  std::string text(format.size() * 64 + 128, '\0');
  const std::size_t length = std::strftime(text.data(), text.size(), marked.c_str(), &time);
  if (length == 0) throw Fault("strftime_now() cannot write this format");
  text.resize(length - 1);
  return text;
}

}  // namespace

Value Evaluator::eval(Expr const& node) {
  const Level level(*this);
  here_ = node.place;
  arena_.spend(1);
  switch (node.type) {
    case ExprType::constant:
      return constant(node);
    case ExprType::name:
      return name(node);
    case ExprType::list:
      return arena_.items(values(node));
    case ExprType::tuple:
      return arena_.items(values(node), Items::Kind::tuple);
    case ExprType::dict:
      return dict(node);
    case ExprType::attribute: {
      const Value object = eval_part(node, 0);
      here_ = node.place;
      return attribute(arena_, object, node.text);
    }
    case ExprType::item: {
      const Value object = eval_part(node, 0), key = eval_part(node, 1);
      here_ = node.place;
      return item(arena_, object, key);
    }
    case ExprType::slice: {
      const Value object = eval_part(node, 0), start = eval_part(node, 1),
                  stop = eval_part(node, 2), step = eval_part(node, 3);
      here_ = node.place;
      return slice(arena_, object, start, stop, step);
    }
    case ExprType::call:
      return call(node);
    case ExprType::filter: {
      const Value input = node.parts[0] ? eval_part(node, 0) : block_;
      const Arguments given = arguments(node);
      here_ = node.place;
      return apply_filter(arena_, node.text, input, given);
    }
    case ExprType::test: {
      const Value input = eval_part(node, 0);
      const Arguments given = arguments(node);
      here_ = node.place;
      return apply_test(arena_, node.text, input, given);
    }
    case ExprType::unary:
      return unary(node);
    case ExprType::binary: {
      const Value left = eval_part(node, 0), right = eval_part(node, 1);
      here_ = node.place;
      return binary(arena_, node.text, left, right);
    }
    case ExprType::concat:
      return concat(node);
    case ExprType::compare:
      return compare(node);
    case ExprType::conjunction: {
      const Value left = eval_part(node, 0);
      return truth(left) ? eval_part(node, 1) : left;
    }
    case ExprType::disjunction: {
      const Value left = eval_part(node, 0);
      return truth(left) ? left : eval_part(node, 1);
    }
    case ExprType::conditional:
      return conditional(node);
  }
  return None{};
}

Value Evaluator::eval_part(Expr const& node, std::size_t part) {
  return node.parts[part] ? eval(*node.parts[part]) : Value(Undefined{});
}

Value Evaluator::constant(Expr const& node) const {
  return std::visit(
      [](auto const& value) -> Value {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return None{};
        } else if constexpr (std::is_same_v<T, Text>) {
          return &value;
        } else {
          return value;
        }
      },
      node.constant);
}

Value Evaluator::name(Expr const& node) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    for (auto const& [known, value] : scope->names) {
      if (known == node.text) return value;
    }
  }
  for (auto const& [known, function] : kBuiltins) {
    if (known == node.text) return function;
  }
  for (std::string_view other :
       {"caller", "varargs", "kwargs", "self", "super", "lipsum", "cycler", "joiner"}) {
    if (node.text == other) {
      throw Fault("the name '" + node.text + "' of Jinja is not supported");
    }
  }
  return arena_.undefined("'" + node.text + "' is undefined");
}

std::vector<Value> Evaluator::values(Expr const& node) {
  std::vector<Value> all;
  for (ExprPtr const& part : node.parts) all.push_back(eval(*part));
  return all;
}

Value Evaluator::dict(Expr const& node) {
  std::vector<std::pair<Value, Value>> members;
  for (std::size_t i = 0; i < node.parts.size(); i += 2) {
    const Value key = eval_part(node, i), value = eval_part(node, i + 1);
    insert(arena_, members, key, value);
  }
  return arena_.dict(std::move(members));
}

Value Evaluator::unary(Expr const& node) {
  const Value value = eval_part(node, 0);
  here_ = node.place;
  if (node.text == "not") return !truth(value);
  if (auto const* number = get<double>(value)) return node.text == "-" ? -*number : *number;
  std::int64_t integer = 0;
  if (as_integer(value, integer)) {
    return binary(arena_, node.text, std::int64_t{0}, integer);
  }
  throw Fault("'" + node.text + "' has no meaning before a value of type " + type_name(value));
}

Value Evaluator::compare(Expr const& node) {
  Value left = eval_part(node, 0);
  for (std::size_t i = 0; i < node.operators.size(); ++i) {
    const Value right = eval_part(node, i + 1);
    here_ = node.place;
    std::string const& op = node.operators[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(arena_, left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(arena_, right, left) == (op == "in");
    } else if (op == "<" || op == ">=") {
      holds = (order(arena_, left, right, op) < 0) == (op == "<");
    } else {
      holds = (order(arena_, left, right, op) > 0) == (op == ">");
    }
    if (!holds) return false;
    left = right;
  }
  return true;
}

Value Evaluator::concat(Expr const& node) {
  std::string all;
  for (ExprPtr const& part : node.parts) {
    const Value value = eval(*part);
    here_ = node.place;
    all += to_text(arena_, value);
  }
  return arena_.text(std::move(all));
}

Value Evaluator::conditional(Expr const& node) {
  if (truth(eval_part(node, 1))) return eval_part(node, 0);
  if (node.parts[2]) return eval_part(node, 2);
  return arena_.undefined("an inline if without else was false");
}

Arguments Evaluator::arguments(Expr const& node) {
  Arguments given;
  for (std::size_t i = 1; i < node.parts.size(); ++i) given.values.push_back(eval_part(node, i));
  for (auto const& [key, value] : node.named) given.named.emplace_back(key, eval(*value));
  return given;
}

Value Evaluator::call(Expr const& node) {
  const Value callee = eval_part(node, 0);
  const Arguments given = arguments(node);
  here_ = node.place;
  if (auto const* function = get<Builtin>(callee)) return call_builtin(*function, given);
  if (auto const* const* method = get<Method const*>(callee)) {
    return call_method(arena_, **method, given);
  }
  if (auto const* const* macro = get<Macro const*>(callee)) return call_macro(**macro, given);
  if (auto* const* loop = get<Loop*>(callee)) return call_loop(**loop, given);
  if (auto const* undefined = get<Undefined>(callee)) {
    throw Fault(undefined->what != nullptr ? *undefined->what : "a value is undefined");
  }
  throw Fault("a value of type " + type_name(callee) + " cannot be called");
}

Value Evaluator::call_builtin(Builtin function, Arguments const& arguments) {
  switch (function) {
    case Builtin::range:
      return make_range(arena_, arguments);
    case Builtin::dict:
      return arena_.dict(members(arena_, arguments));
    case Builtin::raise_exception:
      throw Fault("the template says: " +
                  to_text(arena_, arguments.bind("raise_exception()", {"message"}, 1)[0]));
    case Builtin::strftime_now: {
      const Value format = arguments.bind("strftime_now()", {"format"}, 1)[0];
      return arena_.text(formatted_time(need_text(format, "the format"), now_));
    }
    case Builtin::name_space:
      break;
  }
  Namespace* names = arena_.name_space();
  for (auto const& [key, value] : members(arena_, arguments)) {
    std::string const& name = need_text(key, "a name in a namespace");
    if (name.starts_with('_')) throw Fault("names in a namespace cannot begin with _");
    names->members.emplace_back(name, value);
  }
  return names;
}

Value Evaluator::call_macro(Macro const& macro, Arguments const& arguments) {
  Stmt const& statement = *macro.statement;
  auto const& parameters = statement.parameters;
  if (arguments.values.size() > parameters.size()) {
    throw Fault("the macro '" + statement.text + "' takes at most " +
                std::to_string(parameters.size()) +
                (parameters.size() == 1 ? " argument" : " arguments"));
  }
  Scope* scope = arena_.scope(macro.scope);
  for (auto const& argument : arguments.named) {
    std::string const& name = argument.first;
    const auto at = std::find_if(parameters.begin(), parameters.end(),
                                 [&](Parameter const& p) { return p.name == name; });
    if (at == parameters.end()) {
      throw Fault("the macro '" + statement.text + "' takes no argument '" + name + "'");
    }
    if (at - parameters.begin() < static_cast<std::ptrdiff_t>(arguments.values.size())) {
      throw Fault("the macro '" + statement.text + "' is given '" + name + "' twice");
    }
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Parameter const& parameter = parameters[i];
    const auto named =
        std::find_if(arguments.named.begin(), arguments.named.end(),
                     [&](auto const& argument) { return argument.first == parameter.name; });
    Value value;
    if (i < arguments.values.size()) {
      value = arguments.values[i];
    } else if (named != arguments.named.end()) {
      value = named->second;
    } else if (parameter.fallback) {
      Scope* const outside = std::exchange(scope_, scope);
      value = eval(*parameter.fallback);
      scope_ = outside;
    } else {
      value = arena_.undefined("the parameter '" + parameter.name + "' was not given");
    }
    scope->names.emplace_back(parameter.name, value);
  }
  return arena_.text(capture(statement.body, scope));
}

Value Evaluator::call_loop(Loop const& loop, Arguments const& arguments) {
  if (loop.statement == nullptr) {
    throw Fault("this loop cannot be called; mark it as recursive");
  }
  const Value over = arguments.bind("loop()", {"iterable"}, 1)[0];
  std::string text;
  Scope* const scope = std::exchange(scope_, loop.scope);
  std::string* const out = std::exchange(out_, &text);
  run_loop(*loop.statement, over, loop.depth + 1);
  scope_ = scope;
  out_ = out;
  return arena_.text(std::move(text));
}

}  // namespace lomo::jinja
