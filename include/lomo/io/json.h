#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lomo/core/error.h"

namespace lomo {

using Json = nlohmann::json;

/// Deeper JSON is refused wherever it comes from: what is done with values is recursive.
inline constexpr int kJsonLevels = 64;

/// A line and a column of a file, both from 1; columns count characters.
struct TextPosition {
  std::int64_t line = 1, column = 1;
  std::string text() const;  // "57:13"
};
/// The position behind `text`, which begins at `start`.
TextPosition after(TextPosition start, std::string_view text);

/// Parses strict JSON: no comments, no duplicate keys, valid UTF-8, at most kJsonLevels deep.
/// Errors read "<where>:<line>:<column>: ..." and carry `exit`.
Json parse_json(std::string_view text, std::string const& where, Exit exit);
/// The same for one of many records of user data, which begins at `start`; within its fields, which
/// are seldom all read, of equal keys the last one counts. Throws Error(Exit::data).
Json parse_record(std::string_view text, std::string const& where, TextPosition start);
/// Nothing where the text is not JSON; too many levels are an error as above.
std::optional<Json> json_or_nothing(std::string_view text, std::string const& where, Exit exit);
/// The same for a file of at most `largest` bytes.
Json read_json(std::filesystem::path const& file, Exit exit, std::size_t largest = 64u << 20);

/// A value as an error shows it: short, on one line, valid whatever the bytes.
std::string preview(Json const& value);
/// Text of at most so many bytes, "..." in place of the rest; no character is split.
std::string cut_text(std::string text, std::size_t bytes);
/// What a JSON text holds, event by event, for files too large for a tree.
class JsonEvents : public nlohmann::json_sax<Json> {
 public:
  bool parse_error(std::size_t position, std::string const& token,
                   nlohmann::detail::exception const& error) final;
};
/// Parses strict JSON and tells `events`; an event that returns false ends it. Errors as those of
/// parse_json, of depth too; keys that are there twice are for `events` to see.
void scan_json(std::string_view text, std::string const& where, Exit exit, JsonEvents& events);

/// Bytes written as a number or as text with a unit: 4096, "64MiB", "1.5 GiB", "2GB", "512kB".
/// Nothing when the text is not that or does not fit.
std::optional<std::size_t> parse_bytes(std::string_view text);

/// Of `candidates`, the one fewest edits away from `word` (letter case is free), when it is close
/// enough to be what was meant; else empty.
std::string nearest_word(std::string_view word, std::vector<std::string> const& candidates);

/// Inclusive bounds of a number.
template <class T>
struct Range {
  T minimum = std::numeric_limits<T>::lowest();
  T maximum = std::numeric_limits<T>::max();
};
/// All finite numbers above zero.
template <class T>
constexpr Range<T> positive() {
  if constexpr (std::numeric_limits<T>::is_integer) return {1};
  return {std::numeric_limits<T>::denorm_min()};
}

/// Reads one JSON object strictly. Every key that is asked for becomes a known key; `finish`
/// refuses all others. A getter leaves `value` (the default) alone and returns false when the key
/// is absent; a wrong type or a value out of range is an Error that names the place and what was
/// found:
///   configs/a.json: /clip/norm: expected a number above 0, found "1.0"
/// Views the JSON it was made from.
class JsonReader {
 public:
  /// `where` names the file; `pointer` is the JSON pointer of `object` in it.
  JsonReader(Json const& object, std::string where, Exit exit = Exit::usage,
             std::string pointer = {});

  /// From now on a key whose value is null counts as absent, as Hugging Face writes it. Otherwise
  /// null is a wrong type, except in get(key, optional).
  void null_means_absent() { null_means_absent_ = true; }

  bool has(std::string_view key);
  /// Refuses the object when the key is absent.
  void require(std::string_view key);

  bool get(std::string_view key, bool& value);
  bool get(std::string_view key, int& value, Range<int> range = {});
  bool get(std::string_view key, std::int64_t& value, Range<std::int64_t> range = {});
  bool get(std::string_view key, std::uint64_t& value, Range<std::uint64_t> range = {});
  bool get(std::string_view key, float& value, Range<float> range = {});
  bool get(std::string_view key, double& value, Range<double> range = {});
  bool get(std::string_view key, std::string& value);
  bool get(std::string_view key, std::filesystem::path& value);
  bool get(std::string_view key, std::vector<std::string>& value);
  bool get(std::string_view key, std::vector<std::int64_t>& value, Range<std::int64_t> range = {});
  bool get(std::string_view key, std::vector<double>& value, Range<double> range = {});
  /// null gives nullopt.
  template <class T, class... Bounds>
  bool get(std::string_view key, std::optional<T>& value, Bounds... bounds);
  /// One of a list of names.
  template <class E>
  bool get(std::string_view key, E& value,
           std::initializer_list<std::pair<std::string_view, E>> names);
  /// See parse_bytes.
  bool get_bytes(std::string_view key, std::size_t& value);

  /// The value as it is; null when the key is absent.
  Json const* raw(std::string_view key);
  /// A reader of the object under the key; nothing when absent.
  std::optional<JsonReader> object(std::string_view key);
  /// Readers of an array of objects; empty when absent.
  std::vector<JsonReader> objects(std::string_view key);

  /// Refuses every key that no call asked for, with the nearest known one.
  void finish() const;

  /// The keys of the object that no call has asked for so far.
  std::vector<std::string> unknown_keys() const;

  /// Throws "<where>: <pointer>/<key>: <message>"; an empty key means the object itself.
  [[noreturn]] void fail(std::string_view key, std::string const& message) const;

  std::string const& where() const { return where_; }
  std::string const& pointer() const { return pointer_; }
  Exit exit() const { return exit_; }

 private:
  Json const* find(std::string_view key);
  [[noreturn]] void mismatch(std::string_view key, std::string const& expected,
                             Json const& found) const;
  template <class T>
  T number(std::string_view key, Json const& found, Range<T> range) const;
  std::size_t choose(std::string_view key, std::vector<std::string> const& names) const;

  Json const* object_;
  std::string where_;
  std::string pointer_;
  Exit exit_;
  bool null_means_absent_ = false;
  std::vector<std::string> known_;
};

template <class T, class... Bounds>
bool JsonReader::get(std::string_view key, std::optional<T>& value, Bounds... bounds) {
  Json const* found = find(key);
  if (found == nullptr) return false;
  if (found->is_null()) {
    value.reset();
    return true;
  }
  T inner{};
  get(key, inner, bounds...);
  value = std::move(inner);
  return true;
}

template <class E>
bool JsonReader::get(std::string_view key, E& value,
                     std::initializer_list<std::pair<std::string_view, E>> names) {
  if (find(key) == nullptr) return false;
  std::vector<std::string> words;
  for (auto const& [word, meaning] : names) words.emplace_back(word);
  value = (names.begin() + choose(key, words))->second;
  return true;
}

}  // namespace lomo
