#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "lines.h"
#include "lomo/io/json.h"

namespace lomo {

/// A JSON object of a file of records, or one inside it, that knows its place. Accessors throw
/// Error(Exit::data) naming place and field.
class Record {
 public:
  Record(nlohmann::json const& object, std::string place);

  bool has(std::string const& field) const { return object_.contains(field); }
  /// A field that is missing is answered with the fields there are and what they look like. `key`:
  /// that of the config which names the field; empty: none.
  nlohmann::json const& at(std::string const& field, std::string const& key = "") const;
  std::string const& text(std::string const& field, std::string const& key = "") const;
  std::int64_t integer(std::string const& field) const;
  bool boolean(std::string const& field) const;
  Record object(std::string const& field) const;
  nlohmann::json const& array(std::string const& field) const;
  /// Element i of the array `field`, an object.
  Record element(std::string const& field, std::size_t i) const;

  std::string const& place() const { return place_; }
  /// An error about `field`: "data/val.jsonl:3: field "label" <problem>".
  [[noreturn]] void fail(std::string const& field, std::string const& problem) const;

 private:
  std::string fields() const;

  nlohmann::json const& object_;
  std::string place_;   // "data/val.jsonl:3"
  std::string prefix_;  // "passage/questions/2/", where the object lies in its record
};

/// The records of a file one at a time: JSONL, blank lines passed over, or one JSON array of
/// objects, however it is spread over lines.
class Records {
 public:
  explicit Records(std::filesystem::path const& file) : lines_(file) {}
  /// False at the end of the file. Throws when what follows is not one JSON object.
  bool next();
  /// Valid until the next call of next().
  Record record() const { return Record(json_, place_); }

 private:
  bool next_line();
  bool next_element();
  /// Of an array: goes on to what is not a space, false at the end of the file.
  bool skip_spaces();
  std::string take_element();
  TextPosition position();
  void parse(std::string_view text, TextPosition start);
  [[noreturn]] void fail(TextPosition at, std::string const& problem) const;

  Lines lines_;
  nlohmann::json json_;
  std::string place_;
  enum class Form : std::uint8_t { unknown, lines, array, ended } form_ = Form::unknown;
  // Of an array:
  std::size_t at_ = 0;  // how much of the line is read
  bool first_ = true;   // whether no element was read
  TextPosition here_;   // where byte counted_ of the line is
  std::size_t counted_ = 0;
};

}  // namespace lomo
