#include "lomo/run/run_outcome.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "lomo/core/text.h"
#include "lomo/data/metrics.h"
#include "lomo/train/evaluator.h"

namespace lomo {

namespace {

constexpr std::size_t kJudgedSteps = 10;     // at either end of a run
constexpr std::int64_t kSkippedAtEnd = 3;    // a single overflow of fp16 is nothing unusual
constexpr double kMinShare = 0.5;            // of the intended step, rate or number of steps
constexpr double kEvaluationRise = 0.001;    // of a loss; the examples are the same, so no noise
constexpr double kTrainingRise = 0.02;       // of a loss of several steps
constexpr double kTrainingRiseOfFew = 0.25;  // of one or two
constexpr double kStandardErrors = 2;

struct Level {
  double mean = 0;
  double variance = 0;  // of the mean
};

Level level_of(std::span<double const> losses) {
  const auto n = static_cast<double>(losses.size());
  Level level{std::accumulate(losses.begin(), losses.end(), 0.0) / n, 0};
  for (const double loss : losses) {
    level.variance += (loss - level.mean) * (loss - level.mean) / (n * std::max(n - 1, 1.0));
  }
  return level;
}

std::optional<double> value_of(Json const& metrics, std::string const& name) {
  if (!metrics.is_object() || !metrics.contains(name)) return std::nullopt;
  return metrics[name].is_number() ? metrics[name].get<double>() : std::nan("");
}

/// "the last 7 steps", "the last step".
std::string last_steps(std::int64_t count) {
  return count == 1 ? "the last step" : "the last " + std::to_string(count) + " steps";
}

std::string advice(TrainConfig const& config) {
  const bool clipped = config.clip.norm.value_or(0) > 0;
  return clipped ? "Lower optimizer.lr." : "Set clip.norm to 1, or lower optimizer.lr.";
}

/// "loss 4.737 after training, 1.944 before": the first metric that got worse.
std::string worse_metric(BeforeAndAfter const& evaluations) {
  if (!evaluations.after.is_object()) return {};
  for (auto const& [name, value] : evaluations.after.items()) {
    const auto before = value_of(evaluations.before, name),
               after = value_of(evaluations.after, name);
    if (!before || !after || !std::isfinite(*before) || !std::isfinite(*after)) continue;
    bool worse = false;
    if (smaller_is_better(name)) {
      worse = *after > *before * (1 + kEvaluationRise);
    } else {
      const double share = std::clamp(*before / 100, 0.0, 1.0);
      const auto examples = static_cast<double>(std::max<std::int64_t>(evaluations.examples, 1));
      worse = *after < *before - 100 * std::sqrt(share * (1 - share) / examples);
    }
    if (worse) {
      return name + " " + human_number(*after) + " after training, " + human_number(*before) +
             " before";
    }
  }
  return {};
}

/// "training loss 3.1 over the last 10 steps, 1.9 over the first 10".
std::string worse_loss(RunRecord const& record) {
  const auto n = std::min(kJudgedSteps, static_cast<std::size_t>(record.applied / 2));
  if (n == 0 || record.first.size() < n || record.last.size() < n) return {};
  const Level first = level_of(std::span(record.first).first(n));
  const Level last = level_of(std::span(record.last).last(n));
  const double rise = last.mean - first.mean;
  const double noise = n < 3 ? kTrainingRiseOfFew * first.mean
                             : std::max(kStandardErrors * std::sqrt(first.variance + last.variance),
                                        kTrainingRise * first.mean);
  if (rise <= noise) return {};
  const std::string steps = n == 1 ? " step" : " " + std::to_string(n) + " steps";
  return "training loss " + human_number(last.mean) + " over the last" + steps + ", " +
         human_number(first.mean) + " over the first" + steps;
}

/// 1 where nothing was counted.
double quotient(double part, std::int64_t whole) {
  return whole > 0 ? part / static_cast<double>(whole) : 1;
}

/// Scores of few examples are often the same; losses are not.
bool is_unchanged(BeforeAndAfter const& evaluations) {
  const auto before = value_of(evaluations.before, "loss"),
             after = value_of(evaluations.after, "loss");
  return before && after && *before == *after;
}

bool evaluation_failed(BeforeAndAfter const& evaluations) {
  if (evaluations.after_failed) return true;
  const auto loss = value_of(evaluations.after, "loss");
  return loss && !std::isfinite(*loss);
}

}  // namespace

void RunRecord::add(StepReport const& step) {
  if (step.rounding) {
    realised += step.rounding->realised;
    measured += 1;
  }
  if (step.outcome == StepOutcome::no_targets) return;
  if (step.outcome != StepOutcome::applied) {
    unapplied += 1;
    skipped += 1;
    nonfinite = step.outcome == StepOutcome::nonfinite ? nonfinite + 1 : 0;
    return;
  }
  unapplied = nonfinite = 0;
  applied += 1;
  rates += step.lr_factor;
  if (first.size() < kJudgedSteps) first.push_back(step.loss);
  if (last.size() == kJudgedSteps) last.erase(last.begin());
  last.push_back(step.loss);
}

std::string RunOutcome::headline() const {
  std::string text;
  for (Problem const& problem : problems) text += "\nWARNING: " + problem.text + "\n";
  return text;
}

nlohmann::ordered_json RunOutcome::event() const {
  auto list = nlohmann::ordered_json::array();
  for (Problem const& problem : problems) {
    list.push_back({{"kind", problem.kind}, {"text", problem.text}});
  }
  return {{"event", "outcome"}, {"damaged", damaged}, {"problems", list}};
}

RunOutcome judge_run(TrainConfig const& config, RunRecord const& record,
                     BeforeAndAfter const& evaluations) {
  RunOutcome outcome;
  const auto tell = [&](std::string kind, std::string text) {
    outcome.problems.push_back({std::move(kind), std::move(text)});
  };
  if (record.nonfinite > 0) {
    tell("not_finite", last_steps(record.nonfinite) +
                           " could not be applied: loss or gradient was not finite. " +
                           advice(config));
  } else if (evaluation_failed(evaluations)) {
    tell("not_finite",
         "the evaluation after the last step is not finite: the model computes no numbers any "
         "more. " +
             advice(config));
  } else if (record.applied == 0) {
    tell("not_applied", "no step was applied: the model is as it was before training.");
  } else if (record.unapplied >= kSkippedAtEnd) {
    tell("not_applied",
         last_steps(record.unapplied) + " of the run were skipped, as train.log says.");
  } else if (quotient(static_cast<double>(record.applied), record.applied + record.skipped) <
             kMinShare) {
    tell("not_applied", "only " + counted(record.applied, "step") + " of " +
                            human_count(record.applied + record.skipped) +
                            " could be applied; why the others were skipped is in train.log.");
  }
  outcome.damaged = !outcome.problems.empty() && outcome.problems.front().kind == "not_finite";
  std::string worse = worse_metric(evaluations);
  if (worse.empty()) worse = worse_loss(record);
  if (!worse.empty()) {
    tell("worse", "the model got worse: " + worse + ". " + advice(config));
  }
  const double rate = quotient(record.rates, record.applied);
  if (rate < kMinShare) {
    tell("rate_cut", "spike_guard.action \"cut_lr\" cut the learning rate: the run was made at " +
                         human_percent(rate) + " of the rates that were asked for. " +
                         advice(config));
  }
  const double realised = quotient(record.realised, record.measured);
  if (config.optimizer.rounding == Rounding::nearest && realised < kMinShare) {
    tell("rounding", "rounding to nearest realised " + human_percent(realised) +
                         " of the intended steps; set optimizer.rounding to \"stochastic\".");
  } else if (record.applied > 0 && is_unchanged(evaluations)) {
    tell("unchanged",
         "the model did not change: the evaluation after training gives the loss of the one before "
         "to the last digit. The steps are too small for the weights to hold: raise optimizer.lr.");
  }
  return outcome;
}

}  // namespace lomo
