#include "lomo/train/evaluator.h"

#include <chrono>
#include <cmath>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/data/metrics.h"
#include "lomo/io/files.h"
#include "lomo/train/generation.h"
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

/// False when it was asked to stop.
bool add_answers(Decoder& model, EvalSet const& set, EvalSection const& options,
                 std::function<bool()> const& stop, EvalReport& report) {
  const std::vector<FreeAnswer> free = free_answers(set, options);
  if (free.empty()) return true;
  const auto texts = write_answers(model, *set.tokenizer, free, stop);
  if (!texts) return false;
  std::int64_t right = 0;
  for (std::size_t i = 0; i < free.size(); ++i) {
    if (free[i].sample) {
      report.samples.push_back((*texts)[i]);
      continue;
    }
    right += is_answer((*texts)[i], set.examples[free[i].index].answer) ? 1 : 0;
    report.written.emplace(free[i].index, (*texts)[i]);
  }
  if (report.written.empty()) return true;
  report.metrics.emplace_back(
      "exact_match", 100 * static_cast<double>(right) / static_cast<double>(report.written.size()));
  return true;
}

/// One line an example: what was asked, what is right, how likely the model finds it, and where it
/// wrote an answer, that.
std::string lines_of(EvalSet const& set, EvalReport const& report) {
  std::string text;
  for (std::size_t i = 0; i < set.examples.size(); ++i) {
    Example const& example = set.examples[i];
    nlohmann::ordered_json line{{"where", example.where},
                                {"prompt", example.prompt},
                                {"answer", example.answer},
                                {"loss", report.losses[i]}};
    if (const auto written = report.written.find(i); written != report.written.end()) {
      line["prediction"] = written->second;
      line["exact_match"] = is_answer(written->second, example.answer);
    }
    text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return text;
}

}  // namespace

std::string EvalReport::summary() const {
  std::string text;
  for (auto const& [name, value] : metrics) {
    text += (text.empty() ? "" : ", ") + name + " " + human_number(value);
  }
  if (!written.empty() && static_cast<std::int64_t>(written.size()) < examples) {
    text += " of " + counted(static_cast<std::int64_t>(written.size()), "answer") + " written";
  }
  return text;
}

Json EvalReport::json() const {
  Json json;
  for (auto const& [name, value] : metrics) json[name] = value;
  return json;
}

EvalReport evaluate(Decoder& model, EvalSet const& set, EvalSection const& options,
                    std::function<bool()> const& stop) {
  const auto start = std::chrono::steady_clock::now();
  EvalReport report;
  const std::vector<SequenceScore> scores =
      score_sequences(model, set.data.all(), options.max_tokens, stop);
  EvalReport asked_to_stop;
  asked_to_stop.stopped = true;
  if (scores.size() < set.data.size()) return asked_to_stop;
  if (set.task) {
    rank(set, scores, options.score, report);
  } else {
    mean_loss(scores, report);
    for (SequenceScore const& s : scores) report.losses.push_back(s.mean());
    if (!add_answers(model, set, options, stop, report)) return asked_to_stop;
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

void write_predictions(EvalSet const& set, EvalReport const& report,
                       std::filesystem::path const& folder) {
  if (!set.task && set.examples.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error("cannot make " + folder.string() + ": " + error.message());
  if (!set.task) return write_file(folder / "predictions.jsonl", lines_of(set, report));
  write_predictions(folder / prediction_file_name(*set.task), *set.task, set.examples,
                    report.chosen);
}

}  // namespace lomo
