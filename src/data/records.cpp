#include "records.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "formats.h"
#include "lomo/core/error.h"
#include "text.h"

namespace lomo {

namespace {

constexpr std::size_t kFields = 12;           // that a message names
constexpr std::size_t kFieldName = 40;        // bytes of each
constexpr std::size_t kLongest = 256u << 20;  // bytes of a record

bool is_blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_space);
}

}  // namespace

Record::Record(Json const& object, std::string place) : object_(object), place_(std::move(place)) {}

void Record::fail(std::string const& field, std::string const& problem) const {
  throw Error(Exit::data, place_ + ": field \"" + prefix_ + field + "\" " + problem);
}

/// The names of the fields, the first of many, each in quotes.
std::string Record::fields() const {
  std::string list;
  std::size_t count = 0;
  for (auto const& [name, value] : object_.items()) {
    if (++count > kFields)
      return list + " and " + std::to_string(object_.size() - kFields) + " more";
    list += (count == 1 ? "\"" : ", \"") + cut_text(name, kFieldName) + "\"";
  }
  return list;
}

Json const& Record::at(std::string const& field, std::string const& key) const {
  const auto it = object_.find(field);
  if (it != object_.end()) return *it;
  if (object_.empty()) fail(field, "is missing; the object is empty");
  std::vector<std::string> names;
  for (auto const& [name, value] : object_.items()) names.push_back(name);
  const std::string nearest = nearest_word(field, names);
  std::string advice;
  if (!nearest.empty()) {
    advice = " Did you mean \"" + nearest + "\"?";
    if (!key.empty()) advice += " Then set " + key + " to it";
  } else if (prefix_.empty()) {
    advice = recognised_record(object_);
  }
  if (advice.empty() && !key.empty()) advice = " Name the right one in " + key;
  fail(field, "is missing; the fields are " + fields() + "." + advice);
}

std::string const& Record::text(std::string const& field, std::string const& key) const {
  Json const& value = at(field, key);
  if (!value.is_string()) {
    const std::string advice = prefix_.empty() ? recognised_record({{field, value}}) : "";
    fail(field, "must be a text, not " + preview(value) + (advice.empty() ? "" : "." + advice));
  }
  return value.get_ref<std::string const&>();
}

std::int64_t Record::integer(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_number_integer() || value > Json(INT64_MAX)) {
    fail(field, "must be a whole number, not " + preview(value));
  }
  return value.get<std::int64_t>();
}

bool Record::boolean(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_boolean()) fail(field, "must be true or false, not " + preview(value));
  return value.get<bool>();
}

Record Record::object(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_object()) fail(field, "must be an object, not " + preview(value));
  Record inner(value, place_);
  inner.prefix_ = prefix_ + field + "/";
  return inner;
}

Json const& Record::array(std::string const& field) const {
  Json const& value = at(field);
  if (!value.is_array()) fail(field, "must be a list, not " + preview(value));
  return value;
}

Record Record::element(std::string const& field, std::size_t i) const {
  Json const& value = array(field)[i];
  const std::string name = field + "/" + std::to_string(i);
  if (!value.is_object()) fail(name, "must be an object, not " + preview(value));
  Record inner(value, place_);
  inner.prefix_ = prefix_ + name + "/";
  return inner;
}

void Records::fail(TextPosition at, std::string const& problem) const {
  throw Error(Exit::data, lines_.file().string() + ":" + at.text() + ": " + problem);
}

void Records::parse(std::string_view text, TextPosition start) {
  json_ = parse_record(text, lines_.file().string(), start);
}

bool Records::next() {
  if (form_ == Form::ended) return false;
  if (form_ == Form::array) return next_element();
  do {
    if (!lines_.next()) return false;
  } while (is_blank(lines_.text()));
  if (form_ == Form::unknown) {
    at_ = lines_.text().find_first_not_of(" \t");
    form_ = lines_.text()[at_] == '[' ? Form::array : Form::lines;
    if (form_ == Form::array) {
      ++at_;
      return next_element();
    }
  }
  return next_line();
}

bool Records::next_line() {
  place_ = lines_.where();
  try {
    parse(lines_.text(), {lines_.number(), 1});
  } catch (Error const& error) {
    const std::string table = foreign_table(lines_.text(), lines_.file());
    if (!table.empty()) throw Error(Exit::data, lines_.file().string() + ": " + table);
    const std::string advice = recognised_line(lines_.text());
    throw Error(Exit::data, error.what() + (advice.empty() ? "" : "." + advice));
  }
  if (json_.is_object()) return true;
  throw Error(Exit::data, place_ + ": must be one JSON object a line, not " + preview(json_));
}

TextPosition Records::position() {
  if (here_.line != lines_.number()) {
    here_ = {lines_.number(), 1};
    counted_ = 0;
  }
  here_ = after(here_, std::string_view(lines_.text()).substr(counted_, at_ - counted_));
  counted_ = at_;
  return here_;
}

bool Records::skip_spaces() {
  while (true) {
    while (at_ < lines_.text().size() && is_space(lines_.text()[at_])) ++at_;
    if (at_ < lines_.text().size()) return true;
    if (!lines_.next()) return false;
    at_ = 0;
  }
}

bool Records::next_element() {
  const auto cut_off = [this] {
    fail({lines_.number(), 1}, "the list of records has no end; was the file written whole?");
  };
  if (!skip_spaces()) cut_off();
  char c = lines_.text()[at_];
  if (c != ']' && !first_) {
    if (c != ',') fail(position(), "expected a comma or the end of the list of records");
    ++at_;
    if (!skip_spaces()) cut_off();
    c = lines_.text()[at_];
    if (c == ']') fail(position(), "leave out the comma before the end of the list of records");
  }
  if (c == ']') {
    ++at_;
    if (skip_spaces()) fail(position(), "something follows the list of records");
    form_ = Form::ended;
    return false;
  }
  first_ = false;
  const TextPosition start = position();
  place_ = lines_.file().string() + ":" + start.text();
  const std::string text = take_element();
  parse(text, start);
  if (!json_.is_object()) fail(start, "must be a JSON object, not " + preview(json_));
  return true;
}

/// From here to the comma or bracket behind the value, which may lie lines below; parse() says what
/// is wrong with it.
std::string Records::take_element() {
  std::string text;
  int open = 0;
  bool quoted = false, escaped = false;
  while (true) {
    std::string const& line = lines_.text();
    const std::size_t begin = at_;
    for (; at_ < line.size(); ++at_) {
      const char c = line[at_];
      if (quoted) {
        quoted = escaped || c != '"';
        escaped = !escaped && c == '\\';
        continue;
      }
      if (open == 0 && (c == ',' || c == ']')) return text.append(line, begin, at_ - begin);
      if (c == '"') quoted = true;
      open += c == '[' || c == '{' ? 1 : 0;
      open -= c == ']' || c == '}' ? 1 : 0;
    }
    text.append(line, begin);
    if (text.size() > kLongest) throw Error(Exit::data, place_ + ": a record of more than 256 MiB");
    if (!lines_.next()) return text;
    text += '\n';
    at_ = 0;
  }
}

}  // namespace lomo
