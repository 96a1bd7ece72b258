#include <cmath>

#include "calls.h"

namespace lomo::jinja {

namespace {

[[noreturn]] void overflow() {
  throw Fault("a whole number needs more than 64 bits");
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

/// False when the operation of these whole numbers has a result in floating point.
bool integers(std::string_view op, std::int64_t a, std::int64_t b, std::int64_t& result) {
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &result)) overflow();
  } else if (op == "-") {
    if (__builtin_sub_overflow(a, b, &result)) overflow();
  } else if (op == "*") {
    if (__builtin_mul_overflow(a, b, &result)) overflow();
  } else if (op == "//" || op == "%") {
    if (b == 0) throw Fault("division by zero");
    if (b == -1) {
      if (op == "//" && __builtin_sub_overflow(std::int64_t{0}, a, &result)) overflow();
      if (op == "%") result = 0;
      return true;
    }
    const std::int64_t quotient = a / b, remainder = a % b;
    const bool below = remainder != 0 && (remainder < 0) != (b < 0);
    result = op == "//" ? quotient - (below ? 1 : 0) : remainder + (below ? b : 0);
  } else if (op == "**" && b >= 0) {
    result = power(a, b);
  } else {
    return false;
  }
  return true;
}

double numbers(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) throw Fault("division by zero");
  if (op == "/") return a / b;
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == "%") return remainder == 0 ? std::copysign(0.0, b) : remainder;
  return std::round((a - remainder) / b);
}

Value joined(Arena& arena, Text const& a, Text const& b) {
  // Python would escape the plain one of the two.
  std::string const& plain = a.safe ? b.bytes : a.bytes;
  if (a.safe != b.safe && plain.find_first_of("&<>'\"") != std::string::npos) {
    throw Fault("'+' of a text marked safe and one with HTML's characters is not supported");
  }
  arena.charge(a.bytes.size() + b.bytes.size());
  return arena.text(a.bytes + b.bytes, a.safe || b.safe);
}

bool repeats(Arena& arena, Value const& what, Value const& times, Value& result) {
  std::int64_t count = 0;
  if (!as_integer(times, count)) return false;
  const std::size_t n = count > 0 ? static_cast<std::size_t>(count) : 0;
  const auto charge = [&](std::size_t each) {
    std::size_t total = 0;
    if (__builtin_mul_overflow(each, n, &total)) total = SIZE_MAX;
    arena.charge(total);
  };
  if (std::string const* text = text_of(what)) {
    charge(text->size());
    std::string all;
    for (std::size_t i = 0; i < n && !text->empty(); ++i) all += *text;
    result = arena.text(std::move(all));
    return true;
  }
  Items const* items = items_of(what);
  if (items == nullptr || !items->indexable() || items->kind == Items::Kind::range) return false;
  charge(items->values.size() * sizeof(Value));
  std::vector<Value> all;
  for (std::size_t i = 0; i < n && !items->values.empty(); ++i) {
    all.insert(all.end(), items->values.begin(), items->values.end());
  }
  result = arena.items(std::move(all), items->kind);
  return true;
}

}  // namespace

Value binary(Arena& arena, std::string_view op, Value const& a, Value const& b) {
  std::int64_t i = 0, j = 0, whole = 0;
  double x = 0, y = 0;
  if (as_number(a, x) && as_number(b, y)) {
    if (as_integer(a, i) && as_integer(b, j) && integers(op, i, j, whole)) return whole;
    const double result = numbers(op, x, y);
    if (std::isnan(result) && !std::isnan(x) && !std::isnan(y)) {
      throw Fault("'" + std::string(op) + "' has no real number as its result");
    }
    return result;
  }
  if (op == "+") {
    auto const* const* s = get<Text const*>(a);
    auto const* const* t = get<Text const*>(b);
    if (s != nullptr && t != nullptr) return joined(arena, **s, **t);
    Items const* p = items_of(a);
    Items const* q = items_of(b);
    if (p != nullptr && q != nullptr && p->kind == q->kind && p->indexable() &&
        p->kind != Items::Kind::range) {
      std::vector<Value> all = p->values;
      all.insert(all.end(), q->values.begin(), q->values.end());
      return arena.items(std::move(all), p->kind);
    }
  }
  Value repeated;
  if (op == "*" && (repeats(arena, a, b, repeated) || repeats(arena, b, a, repeated))) {
    return repeated;
  }
  if (op == "%" && text_of(a) != nullptr) {
    throw Fault("formatting with '%' is not supported; join with ~");
  }
  for (Value const& value : {a, b}) {
    if (!is_undefined(value)) continue;
    std::string const* what = std::get<Undefined>(value).what;
    throw Fault(what != nullptr ? *what : "a value is undefined");
  }
  throw Fault("'" + std::string(op) + "' has no meaning between " + type_name(a) + " and " +
              type_name(b));
}

}  // namespace lomo::jinja
