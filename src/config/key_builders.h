#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lomo/config/choices.h"
#include "lomo/config/keys.h"
#include "names.h"

/// A key of each type that configs have. What they read goes to `value`, which outlives the key.
namespace lomo::keys {

using Readers = ConfigKey::Readers;

/// What a declaration says beside name, member and bounds.
struct About {
  std::string meaning;
  std::string values = {};         // empty: by the bounds or the names
  std::string shown_default = {};  // empty: that of a default config
  bool required = false;
  Readers readers = {};
  bool resume_may_change = false;
};

/// Keys that only SuperGLUE tasks read.
inline const Readers kSuperglue{"a SuperGLUE task",
                                [](TrainConfig const& c) { return is_superglue(c.data.task); }};

inline constexpr Range<std::int64_t> kCount{0};
inline constexpr Range<std::int64_t> kAtLeastOne{1};
inline constexpr Range<double> kNotNegative{0.0};
inline constexpr Range<double> kBelowOne{0.0, 1 - 0x1p-53};  // the last number below 1

ConfigKey integer(char const* name, std::int64_t& value, Range<std::int64_t> range, About about);
ConfigKey integer(char const* name, std::optional<std::int64_t>& value, Range<std::int64_t> range,
                  About about);
ConfigKey integer(char const* name, std::uint64_t& value, About about);
ConfigKey number(char const* name, double& value, Range<double> range, About about);
ConfigKey number(char const* name, std::optional<double>& value, Range<double> range, About about);
ConfigKey flag(char const* name, bool& value, About about);
ConfigKey text(char const* name, std::string& value, About about);
ConfigKey path(char const* name, std::string& value, About about);
ConfigKey paths(char const* name, std::vector<std::string>& value, About about);
/// Bytes, as a number or as "64MiB".
ConfigKey size(char const* name, std::size_t& value, About about);
/// A key whose reading and writing are its own.
ConfigKey make(char const* name, char const* type, About about,
               std::function<void(JsonReader&, std::string const&)> read,
               std::function<nlohmann::ordered_json()> write);

/// "`a`, `b`, `c`".
template <class E>
std::string in_words(Names<E> const& names) {
  std::string words;
  for (auto const& [name, meaning] : names) {
    words += (words.empty() ? "`" : ", `") + std::string(name) + "`";
  }
  return words;
}

template <class E>
ConfigKey choice(char const* name, E& value, Names<E> const& names, About about) {
  if (about.values.empty()) about.values = in_words(names);
  return make(
      name, "text", std::move(about),
      [&value, names](JsonReader& reader, std::string const& key) {
        reader.get(key, value, names);
      },
      [&value, names] { return nlohmann::ordered_json(name_of(value, names)); });
}

template <class E>
ConfigKey choice(char const* name, std::optional<E>& value, Names<E> const& names, About about) {
  if (about.values.empty()) about.values = in_words(names);
  return make(
      name, "text", std::move(about),
      [&value, names](JsonReader& reader, std::string const& key) {
        Json const* found = reader.raw(key);
        if (found == nullptr || found->is_null()) return;
        reader.get(key, value.emplace(), names);
      },
      [&value, names] {
        return value ? nlohmann::ordered_json(name_of(*value, names)) : nlohmann::ordered_json();
      });
}

/// The same keys, which a resumed run may change.
std::vector<ConfigKey> resume_may_change(std::vector<ConfigKey> keys);

}  // namespace lomo::keys
