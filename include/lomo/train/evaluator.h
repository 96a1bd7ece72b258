#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lomo/io/json.h"
#include "lomo/model/llama.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// How a model did on an EvalSet.
struct EvalReport {
  /// The task's metrics in percent ("score", their official mean, first when there are several), or
  /// loss (nats a token) and perplexity.
  std::vector<std::pair<std::string, double>> metrics;
  std::vector<std::int64_t> chosen;  // ranked: the candidate of each example
  std::int64_t examples = 0;
  double seconds = 0;

  /// "accuracy 99.4, loss 0.21".
  std::string summary() const;
  Json json() const;
};

/// Names of the metrics that `evaluate` gives for a task as data.task names it; the first is what
/// save.best_metric is by default.
std::vector<std::string> metric_names(std::string const& task);
/// Loss and perplexity; all other metrics are the better the larger they are.
bool smaller_is_better(std::string const& metric);

/// Ranks candidates by the log-probability of answer and end of sequence (summed or averaged), or
/// takes the mean loss of held-out sequences.
EvalReport evaluate(Llama& model, EvalSet const& set, EvalSection const& options);

/// Writes the answers of a ranked set in SuperGLUE's submission format to `folder`/<Task>.jsonl,
/// making the folder; nothing for other sets.
void write_predictions(EvalSet const& set, EvalReport const& report,
                       std::filesystem::path const& folder);

}  // namespace lomo
