#include "lomo/train/spike_guard.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace lomo {

namespace {

constexpr double kMinSpread = 0.01;  // of the mean; of logarithms as it is
constexpr double kRise = 1.25;       // of the loss at the start, by each of the last steps
constexpr std::size_t kRecent = 3;   // steps that a step is taken together with

}  // namespace

BatchLoss batch_loss(double sum, double sum_of_squares, std::int64_t targets) {
  const auto n = static_cast<double>(targets);
  const double mean = sum / n;
  if (targets < 2) return {mean, std::abs(mean)};
  const double variance = std::max(0.0, sum_of_squares / n - mean * mean) * n / (n - 1);
  return {mean, std::sqrt(variance / n)};
}

bool is_news(Rise const& rise) {
  return rise.steps > 0 && std::has_single_bit(static_cast<std::uint64_t>(rise.steps));
}

namespace {

/// How far x lies above the mean of the history, in deviations of at least `share` of the mean and
/// `minimum`.
double standardised(std::vector<double> const& history, double x, double share, double minimum) {
  if (history.empty()) return 0;
  const auto n = static_cast<double>(history.size());
  double mean = 0;
  for (const double v : history) mean += v / n;
  double variance = 0;
  for (const double v : history) variance += (v - mean) * (v - mean) / n;
  const double spread = std::max({std::sqrt(variance), share * std::abs(mean), minimum});
  if (spread > 0) return (x - mean) / spread;
  return x > mean ? HUGE_VAL : 0;  // a history of zeros
}

double logarithm(double norm) {
  return std::log(std::max(norm, std::numeric_limits<double>::min()));
}

}  // namespace

double z_score(std::vector<double> const& history, double x) {
  return standardised(history, x, kMinSpread, 0);
}

SpikeScores SpikeGuard::scores(double loss, double norm) const {
  if (section_.action == SpikeAction::off ||
      static_cast<std::int64_t>(state_.losses.size()) < section_.min_steps) {
    return {};
  }
  std::vector<double> norms;
  for (const double one : state_.norms) norms.push_back(logarithm(one));
  return {z_score(state_.losses, loss), standardised(norms, logarithm(norm), 0, kMinSpread)};
}

Rise SpikeGuard::rise(BatchLoss loss) const {
  if (section_.action == SpikeAction::off || !state_.first || state_.recent.size() < kRecent) {
    return {};
  }
  Rise rise;
  rise.start = std::max(state_.first->mean, state_.evaluation.value_or(state_.first->mean));
  constexpr double kSteps = kRecent + 1;
  double variance = loss.error * loss.error, minimum = loss.mean;
  rise.now = loss.mean / kSteps;
  for (BatchLoss const& one : state_.recent) {
    rise.now += one.mean / kSteps;
    variance += one.error * one.error;
    minimum = std::min(minimum, one.mean);
  }
  const double error =
      std::sqrt(state_.first->error * state_.first->error + variance / (kSteps * kSteps));
  if (minimum > kRise * rise.start && rise.now - rise.start > section_.threshold * error) {
    rise.steps = state_.risen + 1;
  }
  return rise;
}

void SpikeGuard::applied(BatchLoss loss, double norm) {
  if (section_.action == SpikeAction::off) return;
  state_.risen = rise(loss).steps;
  if (!state_.first) {
    state_.first = loss;
  } else {
    if (state_.recent.size() == kRecent) state_.recent.erase(state_.recent.begin());
    state_.recent.push_back(loss);
  }
  const auto push = [this](std::vector<double>& history, double x) {
    if (static_cast<std::int64_t>(history.size()) >= section_.window) {
      history.erase(history.begin());
    }
    history.push_back(x);
  };
  push(state_.losses, loss.mean);
  push(state_.norms, norm);
}

}  // namespace lomo
