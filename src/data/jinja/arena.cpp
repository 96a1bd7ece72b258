#include <algorithm>
#include <nlohmann/json.hpp>

#include "characters.h"
#include "value.h"

namespace lomo::jinja {

void Arena::spend(std::size_t steps, std::size_t bytes) {
  steps_ += steps + bytes / 64;
  if (steps_ > limits_.steps) {
    throw Fault("rendering takes more than " + std::to_string(limits_.steps) + " steps");
  }
}

void Arena::charge(std::size_t bytes) {
  if (bytes > limits_.bytes - bytes_) {
    throw Fault("rendering makes more than " + std::to_string(limits_.bytes) + " bytes of text");
  }
  bytes_ += bytes;
  spend(0, bytes);
}

Value Arena::text(std::string bytes, bool safe) {
  charge(sizeof(Text) + bytes.size());
  texts_.push_back({std::move(bytes), safe});
  return &texts_.back();
}

namespace {

int depth_of(Value const& value) {
  if (Items const* items = items_of(value)) return items->depth;
  if (Dict const* dict = dict_of(value)) return dict->depth;
  return 0;
}

int checked_depth(int inner) {
  if (inner >= kDeepestValue) {
    throw Fault("lists and dicts nested more than " + std::to_string(kDeepestValue) +
                " levels deep");
  }
  return inner + 1;
}

}  // namespace

Value Arena::items(std::vector<Value> values, Items::Kind kind) {
  charge(sizeof(Items) + values.size() * sizeof(Value));
  int inner = 0;
  for (Value const& value : values) inner = std::max(inner, depth_of(value));
  items_.push_back({kind, std::move(values), checked_depth(inner)});
  return &items_.back();
}

Value Arena::dict(std::vector<std::pair<Value, Value>> members) {
  charge(sizeof(Dict) + members.size() * 2 * sizeof(Value));
  int inner = 0;
  for (auto const& [key, value] : members) {
    inner = std::max({inner, depth_of(key), depth_of(value)});
  }
  dicts_.push_back({std::move(members), checked_depth(inner)});
  return &dicts_.back();
}

Value Arena::undefined(std::string what) {
  charge(sizeof(std::string) + what.size());
  names_.push_back(std::move(what));
  return Undefined{&names_.back()};
}

Value Arena::method(Value receiver, std::string name) {
  charge(sizeof(Method));
  methods_.push_back({receiver, std::move(name)});
  return &methods_.back();
}

Value Arena::macro(Stmt const* statement, Scope* scope) {
  charge(sizeof(Macro));
  macros_.push_back({statement, scope});
  return &macros_.back();
}

Namespace* Arena::name_space() {
  charge(sizeof(Namespace));
  namespaces_.emplace_back();
  return &namespaces_.back();
}

Loop* Arena::loop() {
  charge(sizeof(Loop));
  loops_.emplace_back();
  return &loops_.back();
}

Scope* Arena::scope(Scope* outer) {
  charge(sizeof(Scope));
  scopes_.push_back({outer, {}});
  return &scopes_.back();
}

Value Arena::from_json(Json const& json, int depth) {
  if (depth > kDeepestValue) checked_depth(kDeepestValue);
  spend(1);
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<std::int64_t>();
    case Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > INT64_MAX) {
        throw Fault("the number " + json.dump() + " needs more than 64 bits");
      }
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return text(json.get_ref<std::string const&>());
    case Json::value_t::array: {
      std::vector<Value> values;
      for (Json const& item : json) values.push_back(from_json(item, depth + 1));
      return items(std::move(values));
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> members;
      for (auto const& [key, item] : json.items()) {
        members.emplace_back(text(key), from_json(item, depth + 1));
      }
      return dict(std::move(members));
    }
    default:
      return None{};
  }
}

}  // namespace lomo::jinja
