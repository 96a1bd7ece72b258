// What a run is told of itself at its end.
#include <cmath>
#include <string>
#include <vector>

#include "lomo/run/run_outcome.h"
#include "support/catch.h"
#include "support/errors.h"

using namespace lomo;
using lomo::test::contains;

namespace {

StepReport step(double loss, StepOutcome outcome = StepOutcome::applied) {
  StepReport report;
  report.loss = loss;
  report.outcome = outcome;
  return report;
}

RunRecord record_of(std::vector<double> const& losses) {
  RunRecord record;
  for (const double loss : losses) record.add(step(loss));
  return record;
}

std::vector<std::string> kinds(RunOutcome const& outcome) {
  std::vector<std::string> names;
  for (RunOutcome::Problem const& problem : outcome.problems) names.push_back(problem.kind);
  return names;
}

/// 40 steps from one loss to another, with a wobble.
std::vector<double> between(double from, double to, double wobble = 0.02) {
  std::vector<double> losses;
  for (int i = 0; i < 40; ++i) {
    losses.push_back(from + (to - from) * i / 39 + wobble * (i % 2 == 0 ? 1 : -1));
  }
  return losses;
}

using Kinds = std::vector<std::string>;

}  // namespace

TEST_CASE("a run that went well has no problem") {
  const RunOutcome outcome =
      judge_run(TrainConfig{}, record_of(between(2, 1.5)),
                {{{"loss", 1.9}, {"perplexity", 6.7}}, {{"loss", 1.6}, {"perplexity", 5.0}}, 0});
  CHECK(outcome.problems.empty());
  CHECK_FALSE(outcome.damaged);
  CHECK(outcome.headline().empty());
  CHECK(outcome.event()["problems"].empty());
}

TEST_CASE("an evaluation that got worse is told, by more than its noise") {
  const RunRecord good = record_of(between(2, 1.5));
  const auto worse = [&](Json const& before, Json const& after, std::int64_t examples) {
    return kinds(judge_run(TrainConfig{}, good, {before, after, examples})) == Kinds{"worse"};
  };
  CHECK(worse({{"loss", 1.944}}, {{"loss", 2.3}}, 0));
  CHECK(worse({{"loss", 1.944}}, {{"loss", 1.95}}, 0));
  CHECK_FALSE(worse({{"loss", 1.944}}, {{"loss", 1.9441}}, 0));
  CHECK_FALSE(worse({{"loss", 1.944}}, nullptr, 0));
  CHECK_FALSE(worse(nullptr, {{"loss", 9}}, 0));
  // A standard error of 2.2 points at 500 examples, 3 at 277.
  CHECK(worse({{"accuracy", 51.2}}, {{"accuracy", 48.8}}, 500));
  CHECK_FALSE(worse({{"accuracy", 51.2}}, {{"accuracy", 49.2}}, 500));
  CHECK_FALSE(worse({{"accuracy", 51.2}}, {{"accuracy", 48.8}}, 277));
  CHECK_FALSE(worse({{"accuracy", 51.2}}, {{"accuracy", 99.4}}, 500));
  const RunOutcome told = judge_run(TrainConfig{}, good, {{{"loss", 1.944}}, {{"loss", 4.737}}, 0});
  CHECK(contains(told.problems[0].text, "loss 4.737 after training, 1.944 before"));
  CHECK(contains(told.problems[0].text, "clip.norm to 1"));
  CHECK(contains(told.headline(), "WARNING: the model got worse"));
  CHECK(told.event()["problems"][0]["kind"] == "worse");
}

TEST_CASE("a training loss that ends above where it began is told") {
  const auto worse = [](std::vector<double> const& losses) {
    return kinds(judge_run(TrainConfig{}, record_of(losses), {})) == Kinds{"worse"};
  };
  CHECK(worse(between(0.84, 2.7)));
  CHECK(worse(between(2.0, 2.3)));
  CHECK_FALSE(worse(between(2.0, 2.01)));
  CHECK_FALSE(worse(between(2.0, 2.2, 1.0)));  // lost in the noise
  CHECK(worse({1.0, 3.0}));
  CHECK_FALSE(worse({1.0, 1.2}));
  CHECK_FALSE(worse({5.0}));
  CHECK_FALSE(worse({}));
}

TEST_CASE("a run whose last steps are not finite is damaged, one that skipped otherwise is not") {
  RunRecord record = record_of(between(2, 1.5));
  record.add(step(std::nan(""), StepOutcome::nonfinite));
  RunOutcome outcome = judge_run(TrainConfig{}, record, {});
  CHECK(outcome.damaged);
  CHECK(kinds(outcome) == Kinds{"not_finite"});
  CHECK(contains(outcome.problems[0].text, "the last step could not be applied"));
  record.add(step(std::nan(""), StepOutcome::nonfinite));
  outcome = judge_run(TrainConfig{}, record, {});
  CHECK(contains(outcome.problems[0].text, "the last 2 steps"));
  record.add(step(0, StepOutcome::no_targets));  // a fact about the data
  CHECK(judge_run(TrainConfig{}, record, {}).damaged);
  record.add(step(1.5));
  CHECK_FALSE(judge_run(TrainConfig{}, record, {}).damaged);

  for (const StepOutcome skipped : {StepOutcome::overflow, StepOutcome::spike}) {
    RunRecord some = record_of(between(2, 1.5));
    some.add(step(1.5, skipped));
    some.add(step(1.5, skipped));
    CHECK(judge_run(TrainConfig{}, some, {}).problems.empty());
    some.add(step(1.5, skipped));
    const RunOutcome told = judge_run(TrainConfig{}, some, {});
    CHECK_FALSE(told.damaged);
    CHECK(kinds(told) == Kinds{"not_applied"});
    CHECK(contains(told.problems[0].text, "the last 3 steps"));
  }
  RunRecord none;
  none.add(step(1.5, StepOutcome::overflow));
  CHECK(contains(judge_run(TrainConfig{}, none, {}).problems.at(0).text, "no step was applied"));
}

TEST_CASE("a run that skipped more than half of its steps is told, wherever they were") {
  const auto with = [](int skipped) {
    RunRecord record;
    for (int i = 0; i < skipped; ++i) record.add(step(2, StepOutcome::overflow));
    for (double loss : between(2, 1.5)) record.add(step(loss));  // 40 steps
    return judge_run(TrainConfig{}, record, {});
  };
  CHECK(with(40).problems.empty());
  const RunOutcome told = with(41);
  CHECK(kinds(told) == Kinds{"not_applied"});
  CHECK(contains(told.problems[0].text, "only 40 steps of 81 could be applied"));
  CHECK_FALSE(told.damaged);
  RunRecord without_targets = record_of(between(2, 1.5));
  for (int i = 0; i < 100; ++i) without_targets.add(step(0, StepOutcome::no_targets));
  CHECK(judge_run(TrainConfig{}, without_targets, {}).problems.empty());
}

TEST_CASE("a run whose rate the spike guard cut to less than half is told") {
  const auto with = [](double factor) {
    RunRecord record;
    std::vector<double> const losses = between(2, 1.5);
    for (std::size_t i = 0; i < losses.size(); ++i) {
      StepReport report = step(losses[i]);
      report.lr_factor = i < 10 ? 1 : factor;
      record.add(report);
    }
    return judge_run(TrainConfig{}, record, {});
  };
  CHECK(with(1).problems.empty());
  CHECK(with(0.5).problems.empty());  // 0.625 of it
  const RunOutcome told = with(0.2);
  CHECK(kinds(told) == Kinds{"rate_cut"});
  CHECK(contains(told.problems[0].text, "at 40 % of the rates that were asked for"));
}

TEST_CASE("a model that did not change is told, by a loss that is the same to the last bit") {
  const RunRecord good = record_of(between(2, 1.9));
  const auto judged = [&](Json const& before, Json const& after) {
    return kinds(judge_run(TrainConfig{}, good, {before, after, 100}));
  };
  CHECK(judged({{"loss", 1.944}}, {{"loss", 1.944}}) == Kinds{"unchanged"});
  CHECK(judged({{"loss", 1.944}}, {{"loss", std::nextafter(1.944, 0)}}).empty());
  CHECK(judged({{"accuracy", 51.2}}, {{"accuracy", 51.2}}).empty());
  CHECK(judged(nullptr, {{"loss", 1.944}}).empty());
  CHECK(judged(nullptr, nullptr).empty());
}

TEST_CASE("an evaluation after training that gives no number means damage") {
  const RunRecord good = record_of(between(2, 1.5));
  BeforeAndAfter evaluations{{{"loss", 1.9}}, {{"loss", std::nan("")}}, 0};
  CHECK(judge_run(TrainConfig{}, good, evaluations).damaged);
  evaluations.after["loss"] = HUGE_VAL;
  CHECK(judge_run(TrainConfig{}, good, evaluations).damaged);
  evaluations.after = nullptr;
  CHECK_FALSE(judge_run(TrainConfig{}, good, evaluations).damaged);
  evaluations.after_failed = true;  // of ranked candidates
  CHECK(judge_run(TrainConfig{}, good, evaluations).damaged);
}

TEST_CASE("a run that lost most of its steps to rounding is told") {
  TrainConfig config;
  config.optimizer.rounding = Rounding::nearest;
  const auto with = [](double realised) {
    RunRecord record;
    for (double loss : between(2, 1.5)) {
      StepReport report = step(loss);
      report.rounding = RoundingReport{0.1, realised};
      record.add(report);
    }
    return record;
  };
  const RunOutcome told = judge_run(config, with(0.19), {});
  CHECK(kinds(told) == Kinds{"rounding"});
  CHECK(contains(told.problems[0].text, "19 % of the intended steps"));
  CHECK(judge_run(config, with(0.77), {}).problems.empty());
  config.optimizer.rounding = Rounding::stochastic;  // right on average, whatever one step says
  CHECK(judge_run(config, with(0.19), {}).problems.empty());
}
