#include "records.h"

#include <algorithm>
#include <utility>

#include "lomo/core/error.h"
#include "text.h"

namespace lomo {

using Json = nlohmann::json;

namespace {

std::string found(Json const& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

Record::Record(Json const& object, std::string place) : object_(object), place_(std::move(place)) {}

void Record::fail(std::string const& field, std::string const& problem) const {
  throw Error(Exit::data, place_ + ": field \"" + prefix_ + field + "\" " + problem);
}

Json const& Record::at(std::string const& field) const {
  const auto it = object_.find(field);
  if (it == object_.end()) fail(field, "is missing");
  return *it;
}

std::string const& Record::text(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_string()) fail(field, "must be a text, not " + found(value));
  return value.get_ref<std::string const&>();
}

std::int64_t Record::integer(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_number_integer() || value > Json(INT64_MAX)) {
    fail(field, "must be a whole number, not " + found(value));
  }
  return value.get<std::int64_t>();
}

bool Record::boolean(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_boolean()) fail(field, "must be true or false, not " + found(value));
  return value.get<bool>();
}

Record Record::object(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_object()) fail(field, "must be an object, not " + found(value));
  Record inner(value, place_);
  inner.prefix_ = prefix_ + field + "/";
  return inner;
}

Json const& Record::array(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_array()) fail(field, "must be a list, not " + found(value));
  return value;
}

Record Record::element(std::string const& field, std::size_t i) const {
  Json const& value = array(field)[i];
  const std::string name = field + "/" + std::to_string(i);
  if (!value.is_object()) fail(name, "must be an object, not " + found(value));
  Record inner(value, place_);
  inner.prefix_ = prefix_ + name + "/";
  return inner;
}

bool Records::next() {
  do {
    if (!lines_.next()) return false;
  } while (std::all_of(lines_.text().begin(), lines_.text().end(), is_space));
  try {
    json_ = Json::parse(lines_.text());
  } catch (Json::exception const& error) {
    throw Error(Exit::data, lines_.where() + ": not a line of JSON: " + error.what());
  }
  if (!json_.is_object()) {
    throw Error(Exit::data,
                lines_.where() + ": must be one JSON object a line, not " + found(json_));
  }
  return true;
}

}  // namespace lomo
