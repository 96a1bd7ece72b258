#include "lomo/train/evaluator.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/data/metrics.h"
#include "lomo/train/scoring.h"

namespace lomo {

namespace {

void rank(EvalSet const& set, std::vector<SequenceScore> const& scores, Score score,
          EvalReport& report) {
  std::size_t first = 0;
  for (Example const& example : set.examples) {
    std::vector<double> likely;
    for (std::size_t c = 0; c < example.candidates.size(); ++c) {
      SequenceScore const& s = scores[first + c];
      likely.push_back(score == Score::sum ? -s.loss : -s.mean());
    }
    first += example.candidates.size();
    report.chosen.push_back(best_candidate(likely, example.where));
  }
  report.examples = static_cast<std::int64_t>(set.examples.size());
  const TaskScore task = score_task(*set.task, set.examples, report.chosen);
  if (task.values.size() > 1) report.metrics.emplace_back("score", 100 * task.headline);
  for (auto const& [name, value] : task.values) report.metrics.emplace_back(name, 100 * value);
}

void mean_loss(std::vector<SequenceScore> const& scores, EvalReport& report) {
  double loss = 0;
  std::int64_t targets = 0;
  for (SequenceScore const& s : scores) {
    loss += s.loss;
    targets += s.targets;
  }
  report.examples = static_cast<std::int64_t>(scores.size());
  double mean = targets > 0 ? loss / static_cast<double>(targets) : 0;
  if (std::isnan(mean)) mean = std::nan("");  // of no sign: it is shown to people
  report.metrics = {{"loss", mean}, {"perplexity", std::exp(mean)}};
}

}  // namespace

std::vector<std::string> metric_names(std::string const& task) {
  if (task == "jsonl" || task == "text" || task == "ids") return {"loss", "perplexity"};
  if (task == "cb") return {"score", "accuracy", "f1"};
  if (task == "multirc") return {"score", "accuracy", "f1a", "em"};
  if (task == "record") return {"score", "accuracy", "f1", "em"};
  return {"accuracy"};
}

bool smaller_is_better(std::string const& metric) {
  return metric == "loss" || metric == "perplexity";
}

std::string EvalReport::summary() const {
  std::string text;
  for (auto const& [name, value] : metrics) {
    std::array<char, 64> number{};
    std::snprintf(number.data(), number.size(), "%s %.4g", name.c_str(), value);
    text += (text.empty() ? "" : ", ") + std::string(number.data());
  }
  return text;
}

Json EvalReport::json() const {
  Json json;
  for (auto const& [name, value] : metrics) json[name] = value;
  return json;
}

EvalReport evaluate(Llama& model, EvalSet const& set, EvalSection const& options) {
  const auto start = std::chrono::steady_clock::now();
  EvalReport report;
  const std::vector<SequenceScore> scores =
      score_sequences(model, set.data.sequences, options.max_tokens);
  if (set.task) {
    rank(set, scores, options.score, report);
  } else {
    mean_loss(scores, report);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

void write_predictions(EvalSet const& set, EvalReport const& report,
                       std::filesystem::path const& folder) {
  if (!set.task) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error("cannot make " + folder.string() + ": " + error.message());
  write_predictions(folder / prediction_file_name(*set.task), *set.task, set.examples,
                    report.chosen);
}

}  // namespace lomo
