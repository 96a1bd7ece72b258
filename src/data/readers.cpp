#include "lomo/data/readers.h"

#include <algorithm>
#include <utility>

#include "lines.h"
#include "lomo/core/error.h"
#include "lomo/data/prompts.h"
#include "records.h"
#include "text.h"

namespace lomo {

namespace {

/// A value as text: numbers as written, true and false as the answers Yes and No.
std::string as_text(Record const& record, std::string const& field, char const* key) {
  nlohmann::json const& value = record.at(field, key);
  if (value.is_boolean()) return value.get<bool>() ? "Yes" : "No";
  if (value.is_number()) return value.dump();
  return record.text(field, key);
}

Document trimmed(std::string text, std::string where) {
  const std::size_t first = text.find_first_not_of('\n');
  if (first == std::string::npos) return {"", std::move(where)};
  const std::size_t last = text.find_last_not_of('\n');
  return {text.substr(first, last - first + 1), std::move(where)};
}

std::vector<Document> read_json_documents(std::filesystem::path const& file,
                                          std::string const& field) {
  std::vector<Document> documents;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    Document document = trimmed(record.text(field, "data.text_field"), record.place());
    if (!document.text.empty()) documents.push_back(std::move(document));
  }
  require_some(documents.size(), file);
  return documents;
}

}  // namespace

std::vector<Example> read_jsonl(std::filesystem::path const& file, JsonlFields const& fields) {
  const bool templated = fields.prompt.find('{') != std::string::npos;
  const Template prompt(templated ? fields.prompt : "{" + fields.prompt + "}",
                        "the prompt template");
  std::vector<std::string> const& names = prompt.fields();
  if (!fields.passage.empty() &&
      std::find(names.begin(), names.end(), fields.passage) == names.end()) {
    throw Error(Exit::usage, "the passage field \"" + fields.passage +
                                 "\" does not occur in the prompt " + fields.prompt);
  }
  std::vector<Example> examples;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    Example example;
    example.where = record.place();
    example.id = std::to_string(examples.size());
    Fields values;
    for (std::string const& name : names) {
      values[name] = as_text(record, name, "data.prompt_field");
    }
    prompt.render(values, fields.passage, example);
    example.answer = as_text(record, fields.answer, "data.answer_field");
    examples.push_back(std::move(example));
  }
  require_some(examples.size(), file);
  return examples;
}

Dataset read_ids(std::filesystem::path const& file, std::int64_t max_length, TooLong too_long) {
  Dataset data;
  std::int64_t index = -1;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    std::vector<std::int32_t> ids;
    for (nlohmann::json const& id : record.array("ids")) {
      if (!id.is_number_integer() || id < 0 || id > INT32_MAX) {
        record.fail("ids", "holds " + preview(id) + ", which is no token id");
      }
      ids.push_back(id.get<std::int32_t>());
    }
    const std::int64_t loss_from = record.has("loss_from") ? record.integer("loss_from") : 0;
    const auto count = static_cast<std::int64_t>(ids.size());
    if (loss_from < 0 || loss_from >= std::max<std::int64_t>(count, 1)) {
      record.fail("loss_from", "is " + std::to_string(loss_from) + " in a list of " +
                                   std::to_string(count) + " ids");
    }
    ++index;
    if (max_length > 0 && count > max_length + 1) {
      data.statistics.too_long.add(count - 1, record.place());
      // What is left of a list whose targets are all cut teaches nothing.
      if (too_long != TooLong::cut || loss_from > max_length) continue;
      ids.resize(static_cast<std::size_t>(max_length) + 1);
    }
    data.sequences.push_back(make_sequence(ids, static_cast<std::size_t>(loss_from)));
    data.where.push_back(record.place());
    data.items.push_back(index);
  }
  data.statistics.examples = index + 1;
  require_some(static_cast<std::size_t>(index + 1), file);
  if (too_long == TooLong::error && data.statistics.too_long.count > 0) {
    refuse_too_long(data.statistics.too_long, "lists of ids in " + file.string(), index + 1,
                    max_length);
  }
  return data;
}

std::vector<Document> read_documents(std::filesystem::path const& file,
                                     TextOptions const& options) {
  if (without_gz(file).extension() == ".jsonl")
    return read_json_documents(file, options.text_field);
  std::string text;
  for (Lines lines(file); lines.next();) text += lines.text() + "\n";
  std::vector<Document> documents;
  std::int64_t line = 1;
  for (std::size_t at = 0; at < text.size();) {
    std::string const& bar = options.document_separator;
    const std::size_t end = bar.empty() ? std::string::npos : text.find(bar, at);
    const std::size_t next = end == std::string::npos ? text.size() : end + bar.size();
    const std::string part = text.substr(at, std::min(end, text.size()) - at);
    const std::size_t first = std::min(part.find_first_not_of('\n'), part.size());
    const std::string where =
        file.string() + ":" + std::to_string(line + static_cast<std::int64_t>(first));
    Document document = trimmed(part, where);
    if (!document.text.empty()) documents.push_back(std::move(document));
    line += std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                       text.begin() + static_cast<std::ptrdiff_t>(next), '\n');
    at = next;
  }
  require_some(documents.size(), file);
  return documents;
}

void each_line(std::filesystem::path const& file,
               std::function<void(std::string const&, std::string const&)> const& take) {
  Lines lines(file);
  while (lines.next()) {
    if (!std::all_of(lines.text().begin(), lines.text().end(), is_space)) {
      take(lines.text(), lines.where());
    }
  }
}

}  // namespace lomo
