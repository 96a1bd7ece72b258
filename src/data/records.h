#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "lines.h"

namespace lomo {

/// A JSON object of a JSONL file, or one inside it, that knows its place. Accessors throw
/// Error(Exit::data) naming place and field.
class Record {
 public:
  Record(nlohmann::json const& object, std::string place);

  bool has(std::string const& field) const { return object_.contains(field); }
  nlohmann::json const& at(std::string const& field) const;
  std::string const& text(std::string const& field) const;
  std::int64_t integer(std::string const& field) const;
  bool boolean(std::string const& field) const;
  Record object(std::string const& field) const;
  nlohmann::json const& array(std::string const& field) const;
  /// Element i of the array `field`, an object.
  Record element(std::string const& field, std::size_t i) const;

  std::string const& place() const { return place_; }
  /// An error about `field`: "val.jsonl:3: field "label" <problem>".
  [[noreturn]] void fail(std::string const& field, std::string const& problem) const;

 private:
  nlohmann::json const& object_;
  std::string place_;   // "val.jsonl:3"
  std::string prefix_;  // "passage/questions/2/", where the object lies in its line
};

/// Records of a JSONL file one at a time; blank lines are passed over.
class Records {
 public:
  explicit Records(std::filesystem::path const& file) : lines_(file) {}
  /// False at the end of the file. Throws when the line is not one JSON object.
  bool next();
  /// Valid until the next call of next().
  Record record() const { return Record(json_, lines_.where()); }

 private:
  Lines lines_;
  nlohmann::json json_;
};

}  // namespace lomo
