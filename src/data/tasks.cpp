#include "lomo/data/tasks.h"

#include <algorithm>
#include <string>
#include <utility>

#include "records.h"
#include "text.h"

namespace lomo {

namespace {

/// Index of a label among the task's; -1 where the record has none.
std::int64_t gold_of(Record const& record, Task task) {
  if (!record.has("label")) return -1;
  std::vector<std::string> const& labels = task_labels(task);
  std::string label;
  if (labels.front() == "false") {
    label = record.boolean("label") ? "true" : "false";
  } else if (labels.front() == "0") {
    label = std::to_string(record.integer("label"));
  } else {
    label = record.text("label");
  }
  const auto it = std::find(labels.begin(), labels.end(), label);
  if (it == labels.end()) {
    std::string known;
    for (std::string const& name : labels) known += (known.empty() ? "" : ", ") + name;
    record.fail("label", "is " + label + "; the labels are " + known);
  }
  return it - labels.begin();
}

/// Fills in what follows from wording, fields and gold.
void put_into_words(Wording const& wording, Fields values, Example& example) {
  for (auto const& [field, words] : wording.words) values[field] = words.at(values.at(field));
  wording.prompt.render(values, wording.passage, example);
  for (Template const& candidate : wording.candidates) {
    example.candidates.push_back(candidate.render(values));
  }
  if (example.gold >= 0) {
    example.answer = example.candidates[static_cast<std::size_t>(example.gold)];
  }
}

Fields texts(Record const& record, std::initializer_list<char const*> names) {
  Fields values;
  for (char const* name : names) values[name] = record.text(name);
  return values;
}

Fields fields_of(Task task, Record const& record) {
  switch (task) {
    case Task::boolq:
      return texts(record, {"passage", "question"});
    case Task::cb:
    case Task::rte:
      return texts(record, {"premise", "hypothesis"});
    case Task::copa: {
      Fields values = texts(record, {"premise", "choice1", "choice2", "question"});
      if (values["question"] != "cause" && values["question"] != "effect") {
        record.fail("question", "is " + values["question"] + "; it must be cause or effect");
      }
      return values;
    }
    case Task::wic:
      return texts(record, {"word", "sentence1", "sentence2"});
    case Task::wsc: {
      const Record target = record.object("target");
      return {{"text", record.text("text")},
              {"span1", target.text("span1_text")},
              {"span2", target.text("span2_text")}};
    }
    case Task::multirc:
    case Task::record:
      break;
  }
  return {};
}

void read_multirc(Record const& record, Wording const& wording, std::vector<Example>& examples) {
  const Record passage = record.object("passage");
  const std::string paragraph = std::to_string(record.integer("idx"));
  for (std::size_t q = 0; q < passage.array("questions").size(); ++q) {
    const Record question = passage.element("questions", q);
    const std::string group = paragraph + ":" + std::to_string(question.integer("idx"));
    for (std::size_t a = 0; a < question.array("answers").size(); ++a) {
      const Record answer = question.element("answers", a);
      Example example;
      example.where = record.place();
      example.group = group;
      example.id = group + ":" + std::to_string(answer.integer("idx"));
      example.gold = gold_of(answer, Task::multirc);
      put_into_words(wording,
                     {{"paragraph", passage.text("text")},
                      {"question", question.text("question")},
                      {"answer", answer.text("text")}},
                     example);
      examples.push_back(std::move(example));
    }
  }
}

void add_distinct(std::vector<std::string>& list, std::string text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

/// Distinct entities; their `start` and `end` count characters, and `end` is the last one's.
std::vector<std::string> entities_of(Record const& passage) {
  std::string const& text = passage.text("text");
  std::vector<std::string> entities;
  for (std::size_t i = 0; i < passage.array("entities").size(); ++i) {
    const Record entity = passage.element("entities", i);
    const std::int64_t start = entity.integer("start");
    const std::int64_t last = entity.integer("end");
    if (start < 0 || last < start || last >= static_cast<std::int64_t>(text.size())) {
      entity.fail("end", "is " + std::to_string(last) + " after a start of " +
                             std::to_string(start) + ", which is no part of the passage");
    }
    const auto from = byte_of_character(text, static_cast<std::size_t>(start));
    const auto to = byte_of_character(text, static_cast<std::size_t>(last) + 1);
    if (!from || !to) entity.fail("end", "is beyond the end of the passage");
    add_distinct(entities, text.substr(*from, *to - *from));
  }
  return entities;
}

/// The passage's summary lines, marked "@highlight" on a line before each, as a list of dashes.
std::string with_dashes(std::string text) {
  const std::string mark = "\n@highlight\n";
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), "\n- ");
  }
  return text;
}

void read_record(Record const& record, Wording const& wording, std::vector<Example>& examples) {
  const Record passage = record.object("passage");
  const std::vector<std::string> entities = entities_of(passage);
  const std::string text = with_dashes(passage.text("text"));
  for (std::size_t q = 0; q < record.array("qas").size(); ++q) {
    const Record query = record.element("qas", q);
    Example example;
    example.where = record.place();
    example.id = std::to_string(query.integer("idx"));
    example.group = example.id;
    if (query.has("answers")) {
      for (std::size_t a = 0; a < query.array("answers").size(); ++a) {
        add_distinct(example.accepted, query.element("answers", a).text("text"));
      }
    }
    put_into_words(wording, {{"passage", text}, {"query", query.text("query")}}, example);
    for (std::string const& entity : entities) {
      const auto right = std::find(example.accepted.begin(), example.accepted.end(), entity);
      if (right == example.accepted.end() || right == example.accepted.begin()) {
        example.candidates.push_back(entity);
      }
    }
    if (!example.accepted.empty()) {
      example.answer = example.accepted.front();
      add_distinct(example.candidates, example.answer);
      example.gold =
          std::find(example.candidates.begin(), example.candidates.end(), example.answer) -
          example.candidates.begin();
    }
    if (example.candidates.empty()) query.fail("answers", "and entities are both empty");
    examples.push_back(std::move(example));
  }
}

}  // namespace

std::vector<Example> read_examples(Task task, std::filesystem::path const& file,
                                   Prompts const& prompts) {
  Wording const& wording = prompts.of(task);
  std::vector<Example> examples;
  for (Records records(file); records.next();) {
    const Record record = records.record();
    if (task == Task::multirc) {
      read_multirc(record, wording, examples);
    } else if (task == Task::record) {
      read_record(record, wording, examples);
    } else {
      Example example;
      example.where = record.place();
      example.id = std::to_string(record.integer("idx"));
      example.gold = gold_of(record, task);
      put_into_words(wording, fields_of(task, record), example);
      examples.push_back(std::move(example));
    }
  }
  require_some(examples.size(), file);
  return examples;
}

}  // namespace lomo
