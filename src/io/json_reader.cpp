#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "lomo/io/json.h"

namespace lomo {
namespace {

/// `key` as a JSON pointer token (RFC 6901).
std::string token(std::string_view key) {
  std::string out;
  for (char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

/// With no more digits than it takes to tell the number from its neighbours.
template <class T>
std::string written(T value) {
  std::array<char, 64> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// "to 1", or "to below 1" for the last number before it.
template <class T>
std::string up_to(T maximum) {
  if constexpr (std::is_floating_point_v<T>) {
    const T next = std::nextafter(maximum, std::numeric_limits<T>::infinity());
    if (std::floor(maximum) != maximum && std::floor(next) == next) return "below " + written(next);
  }
  return written(maximum);
}

template <class T>
std::string describe(Range<T> range) {
  using Limits = std::numeric_limits<T>;
  const std::string noun = Limits::is_integer ? "a whole number" : "a number";
  const bool low = range.minimum != Limits::lowest() || !Limits::is_signed;
  const bool high = range.maximum != Limits::max();
  const bool above_zero = !Limits::is_integer && range.minimum == Limits::denorm_min();
  const std::string from = above_zero ? "above 0" : "of at least " + written(range.minimum);
  if (low && high && !above_zero) {
    return noun + " from " + written(range.minimum) + " to " + up_to(range.maximum);
  }
  if (low && high) return noun + " above 0 and at most " + written(range.maximum);
  if (low) return noun + " " + from;
  if (high) return noun + " of at most " + written(range.maximum);
  return noun;
}

}  // namespace

std::optional<std::size_t> parse_bytes(std::string_view text) {
  double count = 0;
  auto const [end, status] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (status != std::errc() || !std::isfinite(count) || count < 0) return std::nullopt;
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},         {"B", 1},        {"kB", 1e3},     {"KB", 1e3},
      {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},    {"KiB", 0x1p10},
      {"kiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  for (auto const& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double bytes = std::floor(count * factor);
    if (bytes >= 0x1p63) return std::nullopt;
    return static_cast<std::size_t>(bytes);
  }
  return std::nullopt;
}

std::string nearest_word(std::string_view word, std::vector<std::string> const& candidates) {
  const auto lower = [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  };
  std::string best;
  std::size_t fewest = std::max<std::size_t>(2, word.size() / 3) + 1;  // further is another word
  for (std::string const& candidate : candidates) {
    std::vector<std::size_t> row(candidate.size() + 1);  // Levenshtein, one row at a time
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t change = lower(word[i - 1]) == lower(candidate[j - 1]) ? 0 : 1;
        const std::size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + change});
        diagonal = row[j];
        row[j] = next;
      }
    }
    if (row.back() < fewest) {
      fewest = row.back();
      best = candidate;
    }
  }
  return best;
}

JsonReader::JsonReader(Json const& object, std::string where, Exit exit, std::string pointer)
    : object_(&object), where_(std::move(where)), pointer_(std::move(pointer)), exit_(exit) {
  if (!object.is_object()) mismatch("", "an object {...}", object);
}

void JsonReader::fail(std::string_view key, std::string const& message) const {
  std::string place = pointer_;
  if (!key.empty()) place += "/" + token(key);
  throw Error(exit_, where_ + ": " + (place.empty() ? "" : place + ": ") + message);
}

void JsonReader::mismatch(std::string_view key, std::string const& expected,
                          Json const& found) const {
  fail(key, "expected " + expected + ", found " + preview(found));
}

Json const* JsonReader::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  const auto it = object_->find(key);
  if (it == object_->end() || (null_means_absent_ && it->is_null())) return nullptr;
  return &*it;
}

bool JsonReader::has(std::string_view key) {
  return find(key) != nullptr;
}

void JsonReader::require(std::string_view key) {
  if (find(key) != nullptr) return;
  std::vector<std::string> others;
  for (auto const& [name, value] : object_->items()) {
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) others.push_back(name);
  }
  const std::string nearest = nearest_word(key, others);
  fail("", "the key \"" + std::string(key) + "\" is missing" +
               (nearest.empty() ? "" : "; is it \"" + nearest + "\"?"));
}

template <class T>
T JsonReader::number(std::string_view key, Json const& found, Range<T> range) const {
  if constexpr (std::is_integral_v<T>) {
    // 1e3 and 1000.0 are whole numbers too, as long as a double holds them exactly.
    if (found.is_number_float()) {
      const double x = found.get<double>();
      if (std::floor(x) != x || std::abs(x) > 0x1p53) mismatch(key, describe(range), found);
      return number(
          key, x < 0 ? Json(static_cast<std::int64_t>(x)) : Json(static_cast<std::uint64_t>(x)),
          range);
    }
    if (found.is_number_unsigned()) {
      const auto x = found.get<std::uint64_t>();
      if (std::cmp_less_equal(x, range.maximum) && std::cmp_greater_equal(x, range.minimum)) {
        return static_cast<T>(x);
      }
    } else if (found.is_number_integer()) {
      const auto x = found.get<std::int64_t>();
      if (std::cmp_less_equal(x, range.maximum) && std::cmp_greater_equal(x, range.minimum)) {
        return static_cast<T>(x);
      }
    }
  } else if (found.is_number()) {
    const double x = found.get<double>();
    if (std::isfinite(x) && x >= static_cast<double>(range.minimum) &&
        x <= static_cast<double>(range.maximum)) {
      return static_cast<T>(x);
    }
  }
  mismatch(key, describe(range), found);
}

bool JsonReader::get(std::string_view key, bool& value) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (!found->is_boolean()) mismatch(key, "true or false", *found);
  value = found->get<bool>();
  return true;
}

bool JsonReader::get(std::string_view key, int& value, Range<int> range) {
  Json const* found = find(key);
  if (found != nullptr) value = number(key, *found, range);
  return found != nullptr;
}

bool JsonReader::get(std::string_view key, std::int64_t& value, Range<std::int64_t> range) {
  Json const* found = find(key);
  if (found != nullptr) value = number(key, *found, range);
  return found != nullptr;
}

bool JsonReader::get(std::string_view key, std::uint64_t& value, Range<std::uint64_t> range) {
  Json const* found = find(key);
  if (found != nullptr) value = number(key, *found, range);
  return found != nullptr;
}

bool JsonReader::get(std::string_view key, float& value, Range<float> range) {
  Json const* found = find(key);
  if (found != nullptr) value = number(key, *found, range);
  return found != nullptr;
}

bool JsonReader::get(std::string_view key, double& value, Range<double> range) {
  Json const* found = find(key);
  if (found != nullptr) value = number(key, *found, range);
  return found != nullptr;
}

bool JsonReader::get(std::string_view key, std::string& value) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (!found->is_string()) mismatch(key, "text in quotes", *found);
  value = found->get<std::string>();
  return true;
}

bool JsonReader::get(std::string_view key, std::filesystem::path& value) {
  std::string text;
  if (!get(key, text)) return false;
  if (text.find('\0') != std::string::npos) fail(key, "a path cannot hold a zero byte");
  value = text;
  return true;
}

bool JsonReader::get(std::string_view key, std::vector<std::string>& value) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (!found->is_array()) mismatch(key, "a list of texts [...]", *found);
  value.clear();
  for (Json const& item : *found) {
    if (!item.is_string()) mismatch(key, "a list of texts [...]", *found);
    value.push_back(item.get<std::string>());
  }
  return true;
}

bool JsonReader::get(std::string_view key, std::vector<std::int64_t>& value,
                     Range<std::int64_t> range) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (!found->is_array()) mismatch(key, "a list of numbers [...]", *found);
  value.clear();
  for (Json const& item : *found) value.push_back(number(key, item, range));
  return true;
}

bool JsonReader::get(std::string_view key, std::vector<double>& value, Range<double> range) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (!found->is_array()) mismatch(key, "a list of numbers [...]", *found);
  value.clear();
  for (Json const& item : *found) value.push_back(number(key, item, range));
  return true;
}

bool JsonReader::get_bytes(std::string_view key, std::size_t& value) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (found->is_number()) {
    value = number<std::uint64_t>(key, *found, {});
    return true;
  }
  const auto bytes =
      found->is_string() ? parse_bytes(found->get_ref<std::string const&>()) : std::nullopt;
  if (!bytes) mismatch(key, "a number of bytes or a size such as \"64MiB\"", *found);
  value = *bytes;
  return true;
}

std::size_t JsonReader::choose(std::string_view key, std::vector<std::string> const& names) const {
  Json const& found = object_->at(std::string(key));
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (found.is_string() && found.get_ref<std::string const&>() == names[i]) return i;
    list += (i == 0 ? "\"" : i + 1 == names.size() ? " or \"" : ", \"") + names[i] + "\"";
  }
  mismatch(key, list, found);
}

Json const* JsonReader::raw(std::string_view key) {
  return find(key);
}

std::optional<JsonReader> JsonReader::object(std::string_view key) {
  Json const* found = find(key);
  if (found == nullptr) return std::nullopt;
  JsonReader reader(*found, where_, exit_, pointer_ + "/" + token(key));
  reader.null_means_absent_ = null_means_absent_;
  return reader;
}

std::vector<JsonReader> JsonReader::objects(std::string_view key) {
  Json const* found = find(key);
  std::vector<JsonReader> readers;
  if (found == nullptr) return readers;
  if (!found->is_array()) mismatch(key, "a list of objects [{...}]", *found);
  for (Json const& item : *found) {
    const std::string at = pointer_ + "/" + token(key) + "/" + std::to_string(readers.size());
    readers.emplace_back(item, where_, exit_, at);
    readers.back().null_means_absent_ = null_means_absent_;
  }
  return readers;
}

std::vector<std::string> JsonReader::unknown_keys() const {
  std::vector<std::string> unknown;
  for (auto const& [key, value] : object_->items()) {
    if (null_means_absent_ && value.is_null()) continue;
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) unknown.push_back(key);
  }
  return unknown;
}

void JsonReader::finish() const {
  const auto unknown = unknown_keys();
  if (unknown.empty()) return;
  const std::string nearest = nearest_word(unknown.front(), known_);
  std::string message = "unknown key";
  if (!nearest.empty()) {
    message += "; did you mean \"" + nearest + "\"?";
  } else {
    message += "; known here:";
    for (std::string const& key : known_) message += " " + key;
  }
  fail(unknown.front(), message);
}

}  // namespace lomo
