#pragma once
#include <utility>
#include <vector>

#include "lomo/train/config.h"

namespace lomo {

/// What a checkpoint stores of a SpikeGuard.
struct SpikeGuardState {
  std::vector<double> losses, norms;  // of the last applied steps, oldest first, at most `window`
  double lr_factor = 1;               // product of all cuts
  bool operator==(SpikeGuardState const&) const = default;
};

/// How many standard deviations a step lies above the last steps; 0 while too few are known.
struct SpikeScores {
  double loss = 0;
  double norm = 0;
};

/// Watches loss and gradient norm for spikes, in double. With mean m and standard deviation s of
/// the last `window` applied steps, z = (x - m) / max(s, 0.01 |m|): a series that hardly moves has
/// no scale of its own, so it gets a hundredth of its mean. A step is a spike when either z is
/// above `threshold`. Nothing is judged before `min_steps` steps.
class SpikeGuard {
 public:
  explicit SpikeGuard(SpikeGuardSection const& section) : section_(section) {}

  SpikeScores scores(double loss, double norm) const;
  bool is_spike(SpikeScores const& scores) const {
    return scores.loss > section_.threshold || scores.norm > section_.threshold;
  }
  SpikeAction action() const { return section_.action; }
  /// An applied step enters the window, spike or not; a skipped one does not.
  void applied(double loss, double norm);
  /// Multiplies the learning rate of this and all later steps by spike_guard.cut.
  void cut() { state_.lr_factor *= section_.cut; }
  double lr_factor() const { return state_.lr_factor; }

  SpikeGuardState const& state() const { return state_; }
  void restore(SpikeGuardState state) { state_ = std::move(state); }

 private:
  SpikeGuardSection section_;
  SpikeGuardState state_;
};

/// (x - mean) / deviation as above; 0 for an empty history.
double z_score(std::vector<double> const& history, double x);

}  // namespace lomo
