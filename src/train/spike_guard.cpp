#include "lomo/train/spike_guard.h"

#include <algorithm>
#include <cmath>

namespace lomo {

namespace {

constexpr double kMinSpread = 0.01;  // of the mean

}  // namespace

double z_score(std::vector<double> const& history, double x) {
  if (history.empty()) return 0;
  const auto n = static_cast<double>(history.size());
  double mean = 0;
  for (const double v : history) mean += v / n;
  double variance = 0;
  for (const double v : history) variance += (v - mean) * (v - mean) / n;
  const double spread = std::max(std::sqrt(variance), kMinSpread * std::abs(mean));
  if (spread > 0) return (x - mean) / spread;
  return x > mean ? HUGE_VAL : 0;  // a history of zeros
}

SpikeScores SpikeGuard::scores(double loss, double norm) const {
  if (section_.action == SpikeAction::off ||
      static_cast<std::int64_t>(state_.losses.size()) < section_.min_steps) {
    return {};
  }
  return {z_score(state_.losses, loss), z_score(state_.norms, norm)};
}

void SpikeGuard::applied(double loss, double norm) {
  if (section_.action == SpikeAction::off) return;
  const auto push = [this](std::vector<double>& history, double x) {
    if (static_cast<std::int64_t>(history.size()) >= section_.window) {
      history.erase(history.begin());
    }
    history.push_back(x);
  };
  push(state_.losses, loss);
  push(state_.norms, norm);
}

}  // namespace lomo
