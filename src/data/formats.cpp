#include "formats.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "bytes.h"
#include "lomo/core/text.h"

namespace lomo {

using Json = nlohmann::json;

namespace {

bool holds_list(Json const& record, char const* field) {
  const auto it = record.find(field);
  return it != record.end() && it->is_array();
}

/// [{"role": ..., "content": ...}, ...], or ShareGPT's [{"from": ..., "value": ...}, ...].
bool is_conversation(Json const& value) {
  if (!value.is_array() || value.empty() || !value.front().is_object()) return false;
  Json const& turn = value.front();
  return (turn.contains("role") && turn.contains("content")) ||
         (turn.contains("from") && turn.contains("value"));
}

/// The first of `names` that the record has as a text.
std::string first_text(Json const& record, std::initializer_list<char const*> names) {
  for (char const* name : names) {
    const auto it = record.find(name);
    if (it != record.end() && it->is_string()) return name;
  }
  return "";
}

std::string chat(std::string const& what) {
  return " This is " + what + ": set data.task to \"chat\"";
}

}  // namespace

std::string recognised_record(Json const& record) {
  if (!record.is_object()) return "";
  if (holds_list(record, "messages")) return chat("chat data in \"messages\"");
  if (holds_list(record, "conversations")) return chat("ShareGPT's \"conversations\"");
  if (record.contains("chosen") && record.contains("rejected")) {
    return " This is a pair of preferences (\"chosen\", \"rejected\"), which no task here learns "
           "from";
  }
  if (record.contains("instruction") && record.contains("output")) {
    return chat("Alpaca's \"instruction\", \"input\" and \"output\"");
  }
  for (auto const& [field, value] : record.items()) {
    if (is_conversation(value)) return chat("a list of chat messages in \"" + field + "\"");
  }
  if (record.contains("ids")) return " These are token ids: set data.task to \"ids\"";
  if (record.contains("input_ids")) {
    return " These are token ids: call the field \"ids\" and set data.task to \"ids\"";
  }
  const std::string prompt = first_text(record, {"prompt", "question", "query", "input", "source"});
  const std::string answer =
      first_text(record, {"answer", "completion", "response", "output", "target"});
  if (!prompt.empty() && !answer.empty()) {
    return " Set data.task to \"jsonl\", data.prompt_field to \"" + prompt +
           "\" and data.answer_field to \"" + answer + "\"";
  }
  if (record.size() == 1 && record.contains("text")) {
    return " These are documents: set data.task to \"text\"";
  }
  for (auto const& [field, value] : record.items()) {
    if (value.is_array() && !value.empty() && value.front().is_object()) {
      return " Its list \"" + field +
             "\" holds objects: if they are the records, write them alone, "
             "one a line";
    }
  }
  return "";
}

std::string recognised_line(std::string_view line) {
  if (line.starts_with("version https://git-lfs")) {
    return " This is a git-lfs pointer, not the file: fetch it with git lfs pull";
  }
  if (line.starts_with("<!DOCTYPE") || line.starts_with("<html") || line.starts_with("<!doctype")) {
    return " This is a web page, not the file: download the file itself";
  }
  if (line.starts_with('{') && line.find_last_not_of(" \t") == line.find_last_of("{,[")) {
    return " The record goes on on the next line: write each on one line, or all in one list [...]";
  }
  return "";
}

namespace {

/// Whether a line is a list of short words, as the first line of a table is.
bool names_columns(std::string_view line, char separator) {
  constexpr std::size_t kLongestName = 40;
  std::size_t columns = 0;
  for (std::size_t at = 0; at <= line.size(); ++columns) {
    const std::size_t end = std::min(line.find(separator, at), line.size());
    const std::string_view name = line.substr(at, end - at);
    const bool word = std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '"';
    });
    if (name.empty() || name.size() > kLongestName || !word) return false;
    at = end + 1;
  }
  return columns > 1;
}

/// A command that writes a table as JSONL beside it.
std::string converted(std::string const& reader, std::filesystem::path const& file) {
  const std::filesystem::path jsonl = without_gz(file).replace_extension(".jsonl");
  return "python3 -c \"import pandas; pandas." + reader + ".to_json('" + jsonl.string() +
         "', orient='records', lines=True)\"";
}

}  // namespace

std::string foreign_bytes(std::string_view start, std::filesystem::path const& file) {
  using namespace std::string_view_literals;
  if (start.starts_with("PAR1")) {
    return "this is Parquet, which is not read; convert it to JSONL: " +
           converted("read_parquet('" + file.string() + "')", file);
  }
  if (start.starts_with("ARROW1")) {
    return "this is Arrow (Feather), which is not read; convert it to JSONL: " +
           converted("read_feather('" + file.string() + "')", file);
  }
  static constexpr std::array<std::pair<std::string_view, std::array<char const*, 2>>, 4> kPacked{{
      {"\x28\xb5\x2f\xfd"sv, {"zstd", "zstd -d"}},
      {"BZh"sv, {"bzip2", "bunzip2 -k"}},
      {"\xfd\x37zXZ"sv, {"xz", "unxz -k"}},
      {"PK\x03\x04"sv, {"a zip archive", "unzip"}},
  }};
  for (auto const& [magic, packed] : kPacked) {
    if (!start.starts_with(magic)) continue;
    return "this is " + std::string(packed[0]) +
           ", which is not read (gzip is); unpack it: " + packed[1] + " " +
           shell_quoted(file.string());
  }
  return "";
}

std::string foreign_table(std::string_view line, std::filesystem::path const& file) {
  const std::filesystem::path kind = without_gz(file).extension();
  const bool named = kind == ".csv" || kind == ".tsv";
  const bool tabs = named ? kind == ".tsv" : line.find('\t') != std::string_view::npos;
  if (!named && !names_columns(line, tabs ? '\t' : ',')) return "";
  return (named ? "this is " : "this looks like ") + std::string(tabs ? "TSV" : "CSV") +
         ", which is not read; convert it to JSONL: " +
         converted("read_csv('" + file.string() + (tabs ? "', sep='\\t')" : "')"), file);
}

}  // namespace lomo
