#include "lomo/train/evaluator.h"

#include <chrono>
#include <cmath>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
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
  const double mean = targets > 0 ? loss / static_cast<double>(targets) : 0;
  report.metrics = {{"loss", mean}, {"perplexity", std::exp(mean)}};
}

}  // namespace

std::string EvalReport::summary() const {
  std::string text;
  for (auto const& [name, value] : metrics) {
    text += (text.empty() ? "" : ", ") + name + " " + human_number(value);
  }
  return text;
}

Json EvalReport::json() const {
  Json json;
  for (auto const& [name, value] : metrics) json[name] = value;
  return json;
}

EvalReport evaluate(Llama& model, EvalSet const& set, EvalSection const& options,
                    std::function<bool()> const& stop) {
  const auto start = std::chrono::steady_clock::now();
  EvalReport report;
  const std::vector<SequenceScore> scores =
      score_sequences(model, set.data.sequences, options.max_tokens, stop);
  report.stopped = scores.size() < set.data.sequences.size();
  if (report.stopped) return report;
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
