#include "lomo/data/prompts.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <sstream>

#include "lomo/core/error.h"
#include "lomo/io/json.h"

namespace lomo {

namespace {

struct TaskFacts {
  Task task;
  std::string name;
  std::vector<std::string> fields;
  std::vector<std::string> labels;
  Fields enumerated;  // field -> its values, space between, where a file has only these
};

std::vector<TaskFacts> const& all_tasks() {
  static const std::vector<TaskFacts> facts = {
      {Task::boolq, "BoolQ", {"passage", "question"}, {"false", "true"}, {}},
      {Task::cb, "CB", {"premise", "hypothesis"}, {"entailment", "contradiction", "neutral"}, {}},
      {Task::copa,
       "COPA",
       {"premise", "choice1", "choice2", "question"},
       {"0", "1"},
       {{"question", "cause effect"}}},
      {Task::multirc, "MultiRC", {"paragraph", "question", "answer"}, {"0", "1"}, {}},
      {Task::record, "ReCoRD", {"passage", "query"}, {}, {}},
      {Task::rte, "RTE", {"premise", "hypothesis"}, {"entailment", "not_entailment"}, {}},
      {Task::wic, "WiC", {"word", "sentence1", "sentence2"}, {"false", "true"}, {}},
      {Task::wsc, "WSC", {"text", "span1", "span2"}, {"false", "true"}, {}},
  };
  return facts;
}

TaskFacts const& facts_of(Task task) {
  return *std::find_if(all_tasks().begin(), all_tasks().end(),
                       [&](TaskFacts const& facts) { return facts.task == task; });
}

TaskFacts const* find_task(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (TaskFacts const& facts : all_tasks()) {
    if (std::equal(name.begin(), name.end(), facts.name.begin(), facts.name.end(), same)) {
      return &facts;
    }
  }
  return nullptr;
}

bool holds(std::vector<std::string> const& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

std::string join(std::vector<std::string> const& list) {
  std::string text;
  for (std::string const& item : list) text += (text.empty() ? "" : ", ") + item;
  return text;
}

[[noreturn]] void refuse(std::string const& place, std::string const& problem) {
  throw Error(Exit::usage, place + " " + problem);
}

std::string text_at(Json const& json, std::string const& place) {
  if (!json.is_string()) refuse(place, "must be a text");
  return json.get<std::string>();
}

/// One task's entry; every message begins with file and JSON pointer.
class WordingReader {
 public:
  WordingReader(TaskFacts const& facts, Json const& json, std::string const& file)
      : facts_(facts), json_(json), place_(file + ": /" + facts.name) {
    if (!json.is_object()) refuse(place_, "must be an object");
    for (auto const& [key, value] : json.items()) {
      if (!holds({"prompt", "passage", "candidates", "words"}, key)) {
        refuse(place_ + "/" + key, "is not a known key; use prompt, passage, candidates, words");
      }
    }
  }

  Wording read() const {
    if (!json_.contains("prompt")) refuse(place_ + "/prompt", "is missing");
    Wording wording{text("/prompt", json_["prompt"]), {}, {}, {}};
    if (json_.contains("passage")) {
      wording.passage = text_at(json_["passage"], place_ + "/passage");
      if (!holds(wording.prompt.fields(), wording.passage)) {
        refuse(place_ + "/passage", "names " + wording.passage + ", which is not in the prompt");
      }
    }
    read_candidates(wording);
    read_words(wording);
    return wording;
  }

 private:
  Template text(std::string const& key, Json const& json) const {
    const std::string place = place_ + key;
    Template parsed(text_at(json, place), place);
    for (std::string const& field : parsed.fields()) {
      if (!holds(facts_.fields, field)) {
        refuse(place,
               "has {" + field + "}; the fields of " + facts_.name + " are " + join(facts_.fields));
      }
    }
    return parsed;
  }

  /// The object at `key`, whose keys must be exactly `keys`.
  Json const& object_of(std::string const& key, Json const& json,
                        std::vector<std::string> const& keys) const {
    if (!json.is_object()) refuse(place_ + key, "must be an object with the keys " + join(keys));
    for (auto const& [name, value] : json.items()) {
      if (!holds(keys, name)) refuse(place_ + key + "/" + name, "is not one of " + join(keys));
    }
    for (std::string const& name : keys) {
      if (!json.contains(name)) refuse(place_ + key + "/" + name, "is missing");
    }
    return json;
  }

  void read_candidates(Wording& wording) const {
    if (facts_.labels.empty()) {
      if (json_.contains("candidates")) {
        refuse(place_ + "/candidates", "has no meaning: the candidates are the passage's entities");
      }
      return;
    }
    if (!json_.contains("candidates")) refuse(place_ + "/candidates", "is missing");
    Json const& candidates = object_of("/candidates", json_["candidates"], facts_.labels);
    for (std::string const& label : facts_.labels) {
      wording.candidates.push_back(text("/candidates/" + label, candidates[label]));
    }
  }

  void read_words(Wording& wording) const {
    if (!json_.contains("words")) return;
    if (!json_["words"].is_object()) refuse(place_ + "/words", "must be an object");
    for (auto const& [field, json] : json_["words"].items()) {
      const std::string key = "/words/" + field;
      const auto values = facts_.enumerated.find(field);
      if (values == facts_.enumerated.end()) {
        refuse(place_ + key, "is not a field with a fixed set of values");
      }
      std::vector<std::string> names;
      std::istringstream in(values->second);
      for (std::string name; in >> name;) names.push_back(name);
      for (auto const& [value, word] : object_of(key, json, names).items()) {
        wording.words[field][value] = text_at(word, place_ + key + "/" + value);
      }
    }
  }

  TaskFacts const& facts_;
  Json const& json_;
  std::string place_;
};

}  // namespace

std::string_view to_string(Task task) {
  return facts_of(task).name;
}

Task parse_task(std::string_view name) {
  if (TaskFacts const* facts = find_task(name)) return facts->task;
  std::vector<std::string> names;
  for (TaskFacts const& facts : all_tasks()) names.push_back(facts.name);
  throw Error(Exit::usage,
              "\"" + std::string(name) + "\" is no known task; the tasks are " + join(names));
}

std::vector<std::string> const& task_labels(Task task) {
  return facts_of(task).labels;
}

Template::Template(std::string_view text, std::string const& place) : literals_(1) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literals_.back().push_back(c);
      ++i;
    } else if (c == '{') {
      const std::size_t end = text.find_first_of("{}", i + 1);
      if (end == std::string_view::npos || text[end] == '{' || end == i + 1) {
        refuse(place, "has a { without a field and }; write {{ for a brace");
      }
      fields_.emplace_back(text.substr(i + 1, end - i - 1));
      literals_.emplace_back();
      i = end;
    } else if (c == '}') {
      refuse(place, "has a } without a {; write }} for a brace");
    } else {
      literals_.back().push_back(c);
    }
  }
}

std::string Template::render(Fields const& values) const {
  Example example;
  render(values, "", example);
  return example.prompt;
}

void Template::render(Fields const& values, std::string_view passage, Example& example) const {
  std::string& prompt = example.prompt;
  prompt = literals_[0];
  std::optional<std::size_t> begin;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const auto value = values.find(fields_[i]);
    if (value == values.end()) {
      throw Error(Exit::data, example.where + ": field \"" + fields_[i] + "\" is missing");
    }
    if (!begin && fields_[i] == passage) {
      begin = prompt.size();
      example.passage_begin = prompt.size();
      example.passage_end = prompt.size() + value->second.size();
    }
    prompt += value->second;
    prompt += literals_[i + 1];
  }
  if (!begin) {
    example.passage_begin = 0;
    example.passage_end = prompt.size();
  }
}

Prompts::Prompts(std::filesystem::path const& file) : file_(file.string()) {
  const Json json = read_json(file, Exit::usage);
  if (!json.is_object()) throw Error(Exit::usage, file_ + ": must hold one JSON object");
  for (auto const& [name, entry] : json.items()) {
    if (name == "about") continue;
    TaskFacts const* facts = find_task(name);
    if (facts == nullptr || facts->name != name) {
      std::vector<std::string> names;
      for (TaskFacts const& known : all_tasks()) names.push_back(known.name);
      refuse(file_ + ": /" + name, "is no task; the tasks are " + join(names));
    }
    wordings_.emplace(facts->task, WordingReader(*facts, entry, file_).read());
  }
}

Wording const& Prompts::of(Task task) const {
  const auto it = wordings_.find(task);
  if (it == wordings_.end()) {
    throw Error(Exit::usage, file_ + ": /" + std::string(to_string(task)) +
                                 " is missing: this file has no wording for the task");
  }
  return it->second;
}

}  // namespace lomo
