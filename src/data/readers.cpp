#include "lomo/data/readers.h"

#include <algorithm>
#include <utility>

#include "lines.h"
#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/data/prompts.h"
#include "records.h"
#include "text.h"
#include "text_file.h"

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

void read_json_documents(std::filesystem::path const& file, std::string const& field,
                         Take<Document> const& take) {
  std::size_t count = 0;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    Document document = trimmed(record.text(field, "data.text_field"), record.place());
    if (document.text.empty()) continue;
    ++count;
    take(std::move(document));
  }
  require_some(count, file);
}

}  // namespace

void read_jsonl(std::filesystem::path const& file, JsonlFields const& fields,
                Take<Example> const& take) {
  const bool templated = fields.prompt.find('{') != std::string::npos;
  const Template prompt(templated ? fields.prompt : "{" + fields.prompt + "}",
                        "the prompt template");
  std::vector<std::string> const& names = prompt.fields();
  if (!fields.passage.empty() &&
      std::find(names.begin(), names.end(), fields.passage) == names.end()) {
    throw Error(Exit::usage, "the passage field \"" + fields.passage +
                                 "\" does not occur in the prompt " + fields.prompt);
  }
  std::size_t count = 0;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    Example example;
    example.where = record.place();
    example.id = std::to_string(count++);
    Fields values;
    for (std::string const& name : names) {
      values[name] = as_text(record, name, "data.prompt_field");
    }
    prompt.render(values, fields.passage, example);
    example.answer = as_text(record, fields.answer, "data.answer_field");
    take(std::move(example));
  }
  require_some(count, file);
}

void read_ids(std::filesystem::path const& file, Take<IdList> const& take) {
  std::size_t lists = 0;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    IdList list;
    for (nlohmann::json const& id : record.array("ids")) {
      if (!id.is_number_integer() || id < 0 || id > INT32_MAX) {
        record.fail("ids", "holds " + preview(id) + ", which is no token id");
      }
      list.ids.push_back(id.get<std::int32_t>());
    }
    list.loss_from = record.has("loss_from") ? record.integer("loss_from") : 0;
    const auto count = static_cast<std::int64_t>(list.ids.size());
    if (list.loss_from < 0 || list.loss_from >= std::max<std::int64_t>(count, 1)) {
      record.fail("loss_from", "is " + std::to_string(list.loss_from) + " in a list of " +
                                   std::to_string(count) + " ids");
    }
    list.where = record.place();
    ++lists;
    take(std::move(list));
  }
  require_some(lists, file);
}

void read_documents(std::filesystem::path const& file, TextOptions const& options,
                    Take<Document> const& take, std::size_t long_document) {
  if (without_gz(file).extension() == ".jsonl") {
    return read_json_documents(file, options.text_field, take);
  }
  const auto kept = std::make_shared<TextFile const>(file);
  const std::string_view whole = kept->bytes();
  const std::string separator = with_plain_lines(options.document_separator);
  Activity activity("reading " + file.string(), static_cast<double>(whole.size()),
                    Activity::Unit::bytes);
  std::size_t count = 0;
  std::int64_t line = 1;
  std::size_t counted = 0;  // up to which lines are
  for (std::size_t at = 0; at < whole.size();) {
    const SeparatorPlace next = find_separator(whole, at, separator);
    activity.advance(static_cast<double>(next.end - at));
    const std::string_view bytes = without_outer_lines(whole.substr(at, next.begin - at));
    at = next.end;
    if (!bytes.empty()) {
      require_utf8(bytes, whole, file);
      const auto begin = static_cast<std::size_t>(bytes.data() - whole.data());
      line += std::ranges::count(whole.substr(counted, begin - counted), '\n');
      counted = begin;
      Document document{.where = file.string() + ":" + std::to_string(line)};
      if (bytes.size() > long_document) {
        document.bytes = bytes;
        document.file = kept;
      } else {
        document.text = with_plain_lines(bytes);
      }
      ++count;
      take(std::move(document));
    }
  }
  require_some(count, file);
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
