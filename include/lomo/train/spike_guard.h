#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "lomo/config/config.h"

namespace lomo {

/// The mean loss of a batch and its standard error, by the spread of the losses of its targets.
struct BatchLoss {
  double mean = 0;
  double error = 0;
  bool operator==(BatchLoss const&) const = default;
};
/// Of a batch of one target the error is its loss: nothing else is known of the spread.
BatchLoss batch_loss(double sum, double sum_of_squares, std::int64_t targets);

/// What a checkpoint stores of a SpikeGuard.
struct SpikeGuardState {
  std::vector<double> losses, norms;  // of the last applied steps, oldest first, at most `window`
  double lr_factor = 1;               // product of all cuts
  std::optional<double> evaluation;   // loss of the evaluation before training
  std::optional<BatchLoss> first;     // of the first applied step
  std::vector<BatchLoss> recent;      // of the last of those after it, oldest first, at most three
  std::int64_t risen = 0;             // applied steps in a row at which the loss had risen
  bool operator==(SpikeGuardState const&) const = default;
};

/// How many standard deviations a step lies above the last steps; 0 while too few are known.
struct SpikeScores {
  double loss = 0;
  double norm = 0;
};

/// A loss above that at the start of the run.
struct Rise {
  std::int64_t steps = 0;  // in a row, this one included; 0: it has not risen
  double start = 0;        // the loss that it is compared with
  double now = 0;          // mean of the last four steps, this one included
};

/// Watches loss and gradient norm, in double, for two things.
///
/// A spike is a step that stands out. With mean m and standard deviation s of the last `window`
/// applied steps, its z is (x - m) / max(s, 0.01 |m|) of losses and (x - m) / max(s, 0.01) of the
/// norms' logarithms: a series that hardly moves has no scale of its own. Either z above
/// `threshold` makes a spike; none is found before `min_steps` steps.
///
/// A rise is a model that is worse than the one the run began with, as a rate that is too high
/// makes it within a few steps, before there is a history. The loss at the start is that of the
/// first batch, which the untouched model gave, or that of the evaluation before training where it
/// is larger. The loss has risen when each of the last four steps, the first batch aside, is above
/// 5/4 of it and their mean is above it by more than `threshold` standard errors, those of the
/// first batch and of the four together. So it is found from the fifth step on, and a noisy run
/// (few targets a batch) has to rise further than a quiet one.
class SpikeGuard {
 public:
  explicit SpikeGuard(SpikeGuardSection const& section) : section_(section) {}

  /// What the evaluation before training gave.
  void evaluated(double loss) { state_.evaluation = loss; }
  SpikeScores scores(double loss, double norm) const;
  bool is_spike(SpikeScores const& scores) const {
    return scores.loss > section_.threshold || scores.norm > section_.threshold;
  }
  Rise rise(BatchLoss loss) const;
  SpikeAction action() const { return section_.action; }
  /// An applied step enters the window, spike or not; a skipped one does not.
  void applied(BatchLoss loss, double norm);
  /// Multiplies the learning rate of this and all later steps by spike_guard.cut.
  void cut() { state_.lr_factor *= section_.cut; }
  double lr_factor() const { return state_.lr_factor; }

  SpikeGuardState const& state() const { return state_; }
  void restore(SpikeGuardState state) { state_ = std::move(state); }

 private:
  SpikeGuardSection section_;
  SpikeGuardState state_;
};

/// Whether a rise is told, or answered with a lower rate, again: after 1, 2, 4, 8, ... steps.
bool is_news(Rise const& rise);

/// (x - mean) / deviation as above; 0 for an empty history.
double z_score(std::vector<double> const& history, double x);

}  // namespace lomo
