#include "key_builders.h"

#include <array>
#include <charconv>
#include <limits>

namespace lomo::keys {

namespace {

using Out = nlohmann::ordered_json;

std::string written(double value) {
  std::array<char, 32> text{};
  std::string out(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  const std::size_t exponent = out.find("e-0");  // 1e-6, not 1e-06
  if (exponent != std::string::npos) out.erase(exponent + 2, 1);
  return out;
}

/// "1 and up", "above 0", "0 to below 1".
template <class T>
std::string in_words(Range<T> range) {
  const double low = static_cast<double>(range.minimum), high = static_cast<double>(range.maximum);
  const bool above_zero = low == std::numeric_limits<double>::denorm_min();
  const std::string from = above_zero ? "above 0" : written(low);
  if (range.maximum == std::numeric_limits<T>::max()) return above_zero ? from : from + " and up";
  if (high < 1 && high > 1 - 1e-15) return from + " to below 1";
  return from + " to " + written(high);
}

/// A key that JsonReader::get reads with `bounds`, and that is written as it is.
template <class T, class... Bounds>
ConfigKey plain(char const* name, char const* type, T& value, About about, Bounds... bounds) {
  return make(
      name, type, std::move(about),
      [&value, bounds...](JsonReader& reader, std::string const& key) {
        reader.get(key, value, bounds...);
      },
      [&value] {
        if constexpr (requires { value.has_value(); }) {
          return value ? Out(*value) : Out();
        } else {
          return Out(value);
        }
      });
}

template <class T, class Value>
ConfigKey ranged(char const* name, char const* type, Value& value, Range<T> range, About about) {
  if (about.values.empty()) about.values = in_words(range);
  return plain(name, type, value, std::move(about), range);
}

}  // namespace

ConfigKey make(char const* name, char const* type, About about,
               std::function<void(JsonReader&, std::string const&)> read,
               std::function<Out()> write) {
  ConfigKey key;
  key.name = name;
  key.type = type;
  key.values = std::move(about.values);
  key.meaning = std::move(about.meaning);
  key.shown_default = about.required ? "required" : std::move(about.shown_default);
  key.required = about.required;
  key.resume_may_change = about.resume_may_change;
  key.readers = std::move(about.readers);
  key.read = [name = key.name, read = std::move(read)](JsonReader& reader) { read(reader, name); };
  key.write = std::move(write);
  return key;
}

ConfigKey integer(char const* name, std::int64_t& value, Range<std::int64_t> range, About about) {
  return ranged(name, "integer", value, range, std::move(about));
}

ConfigKey integer(char const* name, std::optional<std::int64_t>& value, Range<std::int64_t> range,
                  About about) {
  return ranged(name, "integer", value, range, std::move(about));
}

ConfigKey integer(char const* name, std::uint64_t& value, About about) {
  return plain(name, "integer", value, std::move(about));
}

ConfigKey number(char const* name, double& value, Range<double> range, About about) {
  return ranged(name, "number", value, range, std::move(about));
}

ConfigKey number(char const* name, std::optional<double>& value, Range<double> range, About about) {
  return ranged(name, "number", value, range, std::move(about));
}

ConfigKey flag(char const* name, bool& value, About about) {
  return plain(name, "true/false", value, std::move(about));
}

ConfigKey text(char const* name, std::string& value, About about) {
  return plain(name, "text", value, std::move(about));
}

ConfigKey path(char const* name, std::string& value, About about) {
  return plain(name, "path", value, std::move(about));
}

ConfigKey paths(char const* name, std::vector<std::string>& value, About about) {
  return make(
      name, "path or list", std::move(about),
      [&value](JsonReader& reader, std::string const& key) {
        Json const* found = reader.raw(key);
        if (found == nullptr) return;
        if (found->is_string()) {
          value = {found->get<std::string>()};
        } else {
          reader.get(key, value);
        }
        for (std::string const& path : value) {
          if (path.empty()) reader.fail(key, "a path is empty");
        }
      },
      [&value] { return Out(value); });
}

ConfigKey size(char const* name, std::size_t& value, About about) {
  if (about.values.empty()) about.values = "bytes or a size";
  return make(
      name, "size", std::move(about),
      [&value](JsonReader& reader, std::string const& key) { reader.get_bytes(key, value); },
      [&value] { return Out(format_bytes(value)); });
}

std::vector<ConfigKey> resume_may_change(std::vector<ConfigKey> keys) {
  for (ConfigKey& key : keys) key.resume_may_change = true;
  return keys;
}

}  // namespace lomo::keys
