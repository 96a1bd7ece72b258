#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/io/json.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// What the end of a run is judged by beside its evaluations. A checkpoint stores it.
struct RunRecord {
  std::vector<double> first, last;  // losses of the first and the last applied steps, at most ten
  std::int64_t applied = 0;
  std::int64_t unapplied = 0;  // the last steps, in a row, that were not applied though they had
                               // targets
  std::int64_t nonfinite = 0;  // the last of those: their loss or gradient was not finite
  std::int64_t skipped = 0;    // all that were not applied though they had targets
  double rates = 0;  // sum over the applied steps of what the spike guard's cuts left of the rate
  double realised = 0;  // sum over the steps whose rounding was measured, of which there are
  std::int64_t measured = 0;

  void add(StepReport const& step);
  bool operator==(RunRecord const&) const = default;
};

/// What a user must be told of a run that came to its end.
struct RunOutcome {
  struct Problem {
    std::string kind;  // as metrics.jsonl names it: "not_finite", "not_applied", "worse" and so on
    std::string text;  // one or two sentences
  };
  std::vector<Problem> problems;
  bool damaged = false;  // the model is not to be trusted: it goes aside and the run exits with 5

  /// What the run's end begins with: "\nWARNING: the model got worse: ...\n"; empty without a
  /// problem.
  std::string headline() const;
  /// The line of metrics.jsonl, also of a run without a problem.
  nlohmann::ordered_json event() const;
};

/// The evaluations of a run, as metrics by name; null: none was made.
struct BeforeAndAfter {
  Json before, after;
  std::int64_t examples = 0;
  bool after_failed = false;  // the scores of the evaluation after the last step were no numbers
};

/// Judges a run at its end:
///   not_finite   the last steps, or the evaluation after them, were not finite: damaged
///   not_applied  at least the last three steps were skipped, or more than half of all
///   rate_cut     the spike guard's cuts left less than half of the rates that were asked for
///   worse        a loss after training is more than 0.1 % above that before, or a score lies more
///                than one standard error of its examples below; or the mean loss of the last steps
///                (ten, or half of them) is above that of the first ones by more than two standard
///                errors and 2 %; of fewer than three by more than a quarter
///   rounding     nearest rounding realised less than half of the steps that were measured
///   unchanged    an evaluation gives the same loss before and after, to the last bit
RunOutcome judge_run(TrainConfig const& config, RunRecord const& record,
                     BeforeAndAfter const& evaluations);

}  // namespace lomo
