#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/example.h"
#include "lomo/data/prompts.h"

namespace lomo {

/// The index of the largest score, the first of equals. `where` names the example in the
/// Error(Exit::diverged) that a score which is not a number, or an empty list, throws.
std::int64_t best_candidate(std::span<double const> scores, std::string const& where);

/// What a task's predictions are worth, every value in [0, 1].
struct TaskScore {
  struct Value {
    std::string name;
    double value;
  };
  std::vector<Value> values;
  std::int64_t scored = 0;  // examples that have a gold label; with none `values` is empty

  /// SuperGLUE's number for the task: the mean of its official metrics. Those are accuracy, and
  /// accuracy and f1 (macro) for CB, f1a and em for MultiRC, f1 and em for ReCoRD.
  double headline = 0.0;
};

/// `predictions[i]` is an index into examples[i].candidates. Examples without a gold label are left
/// out. "accuracy" is told for every task, as the LOMO paper scores them. A question of MultiRC is
/// its examples of one group; em there is the share of questions with every answer judged right,
/// f1a the F1 of "is a correct answer" over all answers.
TaskScore score_task(Task task, std::span<Example const> examples,
                     std::span<std::int64_t const> predictions);

/// Names of the metrics that an evaluation gives for a task as data.task names it; the first is
/// what save.best_metric is by default.
std::vector<std::string> metric_names(std::string const& task);
/// Loss and perplexity; all other metrics are the better the larger they are.
bool smaller_is_better(std::string const& metric);

/// ReCoRD's measures between two texts after lower-casing (ASCII) and dropping punctuation,
/// articles and extra spaces: token F1, and whether they are the same.
double token_f1(std::string_view prediction, std::string_view accepted);
bool exact_match(std::string_view prediction, std::string_view accepted);

/// Writes predictions as SuperGLUE's submission has them: one JSON object a line, `idx` and `label`
/// (MultiRC: a passage with its questions and answers). `file` is replaced whole.
void write_predictions(std::filesystem::path const& file, Task task,
                       std::span<Example const> examples,
                       std::span<std::int64_t const> predictions);
/// "BoolQ.jsonl", the file's name in a submission.
std::string prediction_file_name(Task task);

}  // namespace lomo
