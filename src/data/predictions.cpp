#include <nlohmann/json.hpp>
#include <sstream>

#include "lomo/data/metrics.h"
#include "lomo/io/files.h"

namespace lomo {

using Ordered = nlohmann::ordered_json;

namespace {

/// idx fields of an example: one, or paragraph, question and answer for MultiRC.
std::vector<std::int64_t> numbers_of(std::string const& id) {
  std::vector<std::int64_t> numbers;
  std::istringstream in(id);
  for (std::string part; std::getline(in, part, ':');) numbers.push_back(std::stoll(part));
  return numbers;
}

Ordered label_of(Task task, Example const& example, std::int64_t prediction) {
  switch (task) {
    case Task::record:
      return example.candidates[static_cast<std::size_t>(prediction)];
    case Task::copa:
    case Task::multirc:
      return prediction;
    case Task::wsc:
      return prediction == 1 ? "True" : "False";
    case Task::boolq:
    case Task::cb:
    case Task::rte:
    case Task::wic:
      break;
  }
  return task_labels(task)[static_cast<std::size_t>(prediction)];
}

/// One line a passage, its questions and answers nested as in the task's own files.
std::vector<Ordered> multirc_lines(std::span<Example const> examples,
                                   std::span<std::int64_t const> predictions) {
  std::vector<Ordered> lines;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::vector<std::int64_t> idx = numbers_of(examples[i].id);
    if (lines.empty() || lines.back()["idx"] != idx[0]) {
      lines.push_back({{"idx", idx[0]}, {"passage", {{"questions", Ordered::array()}}}});
    }
    Ordered& questions = lines.back()["passage"]["questions"];
    if (questions.empty() || questions.back()["idx"] != idx[1]) {
      questions.push_back({{"idx", idx[1]}, {"answers", Ordered::array()}});
    }
    questions.back()["answers"].push_back({{"idx", idx[2]}, {"label", predictions[i]}});
  }
  return lines;
}

}  // namespace

std::string prediction_file_name(Task task) {
  return std::string(to_string(task)) + ".jsonl";
}

void write_predictions(std::filesystem::path const& file, Task task,
                       std::span<Example const> examples,
                       std::span<std::int64_t const> predictions) {
  std::vector<Ordered> lines;
  if (task == Task::multirc) {
    lines = multirc_lines(examples, predictions);
  } else {
    for (std::size_t i = 0; i < examples.size(); ++i) {
      lines.push_back({{"idx", numbers_of(examples[i].id).front()},
                       {"label", label_of(task, examples[i], predictions[i])}});
    }
  }
  std::string text;
  for (Ordered const& line : lines) text += line.dump() + "\n";
  write_file(file, text);
}

}  // namespace lomo
