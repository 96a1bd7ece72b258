#include "value.h"

#include <algorithm>

#include "characters.h"

namespace lomo::jinja {

std::string const* text_of(Value const& value) {
  Text const* const* text = std::get_if<Text const*>(&value);
  return text != nullptr ? &(*text)->bytes : nullptr;
}

Items const* items_of(Value const& value) {
  Items const* const* items = std::get_if<Items const*>(&value);
  return items != nullptr ? *items : nullptr;
}

Dict const* dict_of(Value const& value) {
  Dict const* const* dict = std::get_if<Dict const*>(&value);
  return dict != nullptr ? *dict : nullptr;
}

bool is_undefined(Value const& value) {
  return std::holds_alternative<Undefined>(value);
}

bool as_integer(Value const& value, std::int64_t& number) {
  if (auto const* truth_value = get<bool>(value)) {
    number = *truth_value ? 1 : 0;
    return true;
  }
  if (auto const* integer = get<std::int64_t>(value)) {
    number = *integer;
    return true;
  }
  return false;
}

bool as_number(Value const& value, double& number) {
  if (auto const* floating = get<double>(value)) {
    number = *floating;
    return true;
  }
  std::int64_t integer = 0;
  if (!as_integer(value, integer)) return false;
  number = static_cast<double>(integer);
  return true;
}

std::string type_name(Value const& value) {
  if (Items const* items = items_of(value)) {
    static constexpr char const* kNames[] = {"list", "tuple", "range", "dict view", "generator"};
    return kNames[static_cast<std::size_t>(items->kind)];
  }
  // In the order of Value's types.
  static constexpr char const* kNames[] = {"Undefined", "NoneType", "bool",    "int",       "float",
                                           "str",       "list",     "dict",    "Namespace", "loop",
                                           "macro",     "method",   "function"};
  return kNames[value.index()];
}

bool truth(Value const& value) {
  if (is_undefined(value) || std::holds_alternative<None>(value)) return false;
  if (auto const* boolean = get<bool>(value)) return *boolean;
  double number = 0;
  if (as_number(value, number)) return number != 0;
  if (std::string const* text = text_of(value)) return !text->empty();
  if (Items const* items = items_of(value)) {
    return items->kind == Items::Kind::generator || !items->values.empty();
  }
  if (Dict const* dict = dict_of(value)) return !dict->members.empty();
  return true;
}

namespace {

bool equal_items(Arena& arena, Items const& a, Items const& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || !a.indexable() || a.values.size() != b.values.size()) return false;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    if (!equal(arena, a.values[i], b.values[i])) return false;
  }
  return true;
}

bool equal_dicts(Arena& arena, Dict const& a, Dict const& b) {
  if (&a == &b) return true;
  if (a.members.size() != b.members.size()) return false;
  return std::all_of(a.members.begin(), a.members.end(), [&](auto const& member) {
    Value const* other = find(arena, b, member.first);
    return other != nullptr && equal(arena, member.second, *other);
  });
}

template <class T>
int three_way(T const& a, T const& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

bool equal(Arena& arena, Value const& a, Value const& b) {
  arena.spend(1);
  std::int64_t i = 0, j = 0;
  if (as_integer(a, i) && as_integer(b, j)) return i == j;
  double x = 0, y = 0;
  if (as_number(a, x) && as_number(b, y)) return x == y;
  if (a.index() != b.index()) return false;
  if (std::string const* text = text_of(a)) {
    arena.spend(0, text->size());
    return *text == *text_of(b);
  }
  if (Items const* items = items_of(a)) return equal_items(arena, *items, *items_of(b));
  if (Dict const* dict = dict_of(a)) return equal_dicts(arena, *dict, *dict_of(b));
  return std::visit(
      [&b](auto const& left) {
        using T = std::decay_t<decltype(left)>;
        if constexpr (std::is_pointer_v<T> || std::is_same_v<T, Builtin>) {
          return left == std::get<T>(b);
        }
        return true;  // Undefined and None
      },
      a);
}

int order(Arena& arena, Value const& a, Value const& b, std::string_view op) {
  arena.spend(1);
  std::int64_t i = 0, j = 0;
  if (as_integer(a, i) && as_integer(b, j)) return three_way(i, j);
  double x = 0, y = 0;
  if (as_number(a, x) && as_number(b, y)) return three_way(x, y);
  std::string const* s = text_of(a);
  std::string const* t = text_of(b);
  if (s != nullptr && t != nullptr) {
    arena.spend(0, std::min(s->size(), t->size()));
    return s->compare(*t);  // UTF-8 has the order of code points
  }
  Items const* p = items_of(a);
  Items const* q = items_of(b);
  if (p != nullptr && q != nullptr && p->kind == q->kind && p->indexable() &&
      p->kind != Items::Kind::range) {
    const std::size_t both = std::min(p->values.size(), q->values.size());
    for (std::size_t k = 0; k < both; ++k) {
      if (!equal(arena, p->values[k], q->values[k])) {
        return order(arena, p->values[k], q->values[k], op);
      }
    }
    return three_way(p->values.size(), q->values.size());
  }
  throw Fault("'" + std::string(op) + "' has no meaning between " + type_name(a) + " and " +
              type_name(b));
}

Value const* find(Arena& arena, Dict const& dict, Value const& key) {
  arena.spend(1 + dict.members.size() / 8);
  std::string const* text = text_of(key);
  for (auto const& [known, value] : dict.members) {
    if (text != nullptr) {
      std::string const* other = text_of(known);
      if (other != nullptr && *other == *text) return &value;
    } else if (equal(arena, known, key)) {
      return &value;
    }
  }
  return nullptr;
}

void insert(Arena& arena, std::vector<std::pair<Value, Value>>& members, Value key, Value value) {
  Items const* items = items_of(key);
  if (is_undefined(key) || dict_of(key) != nullptr ||
      (items != nullptr && items->kind == Items::Kind::list)) {
    throw Fault("a value of type " + type_name(key) + " cannot be the key of a dict");
  }
  for (auto& [known, old] : members) {
    if (equal(arena, known, key)) {
      old = value;
      return;
    }
  }
  members.emplace_back(key, value);
}

bool contains(Arena& arena, Value const& container, Value const& value) {
  if (std::string const* text = text_of(container)) {
    std::string const* part = text_of(value);
    if (part == nullptr) {
      throw Fault("'in' asks a text for a text, not for a value of type " + type_name(value));
    }
    arena.spend(1, text->size() * (part->size() / 64 + 1));  // the worst that a search can take
    return text->find(*part) != std::string::npos;
  }
  if (Dict const* dict = dict_of(container)) return find(arena, *dict, value) != nullptr;
  for (Value const& item : iterate(arena, container)) {
    if (equal(arena, item, value)) return true;
  }
  return false;
}

std::vector<Value> iterate(Arena& arena, Value const& value) {
  if (is_undefined(value)) return {};
  if (Items const* items = items_of(value)) {
    arena.spend(items->values.size());
    if (items->kind != Items::Kind::generator) return items->values;
    if (std::exchange(items->consumed, true)) return {};
    return items->values;
  }
  std::vector<Value> all;
  if (std::string const* text = text_of(value)) {
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t begin = at;
      next_character(*text, at);
      all.push_back(arena.text(text->substr(begin, at - begin)));
    }
    return all;
  }
  if (Dict const* dict = dict_of(value)) {
    arena.spend(dict->members.size());
    for (auto const& member : dict->members) all.push_back(member.first);
    return all;
  }
  throw Fault("a value of type " + type_name(value) + " cannot be gone through");
}

std::int64_t length(Value const& value) {
  if (is_undefined(value)) return 0;
  if (std::string const* text = text_of(value)) return count_characters(*text);
  Items const* items = items_of(value);
  if (items != nullptr && items->kind != Items::Kind::generator) {
    return static_cast<std::int64_t>(items->values.size());
  }
  if (Dict const* dict = dict_of(value)) return static_cast<std::int64_t>(dict->members.size());
  throw Fault("a value of type " + type_name(value) + " has no length");
}

}  // namespace lomo::jinja
