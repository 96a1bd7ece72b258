#include "run_clock.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lomo {

namespace {

double in_seconds(RunClock::Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

/// Multiples of `every` above `done` and below `total`.
std::int64_t multiples(std::int64_t every, std::int64_t done, std::int64_t total) {
  return every > 0 && total > 0 ? std::max<std::int64_t>(0, (total - 1) / every - done / every) : 0;
}

}  // namespace

char const* to_string(Part part) {
  switch (part) {
    case Part::data:
      return "data";
    case Part::setup:
      return "setup";
    case Part::training:
      return "training";
    case Part::evaluation:
      return "evaluation";
    case Part::saving:
      return "saving";
  }
  return "?";
}

Part RunClock::enter(Part part, Time now) {
  spent_[static_cast<std::size_t>(part_)] += now - since_;
  since_ = now;
  if (part != part_) times_[static_cast<std::size_t>(part)] += 1;
  return std::exchange(part_, part);
}

double RunClock::seconds(Part part, Time now) const {
  Clock::duration time = spent_[static_cast<std::size_t>(part)];
  if (part == part_) time += now - since_;
  return in_seconds(time);
}

double RunClock::seconds(Time now) const {
  return in_seconds(std::accumulate(spent_.begin(), spent_.end(), Clock::duration(now - since_)));
}

Remaining remaining(EvalSection const& eval, SaveSection const& save, bool evaluates,
                    std::int64_t done, std::int64_t total, double epoch) {
  Remaining rest;
  rest.steps = std::max<std::int64_t>(0, total - done);
  if (evaluates) {
    rest.evaluations = multiples(eval.every_steps, done, total) + (eval.at_end ? 1 : 0);
    if (eval.every_epochs > 0 && epoch > 0) {
      const auto epochs = [&](std::int64_t steps) {
        return static_cast<std::int64_t>(static_cast<double>(steps) / epoch + 1e-9);
      };
      rest.evaluations +=
          epochs(std::max<std::int64_t>(0, total - 1)) / eval.every_epochs -
          epochs(std::min(done, std::max<std::int64_t>(0, total - 1))) / eval.every_epochs;
    }
  }
  const bool periodic = save.every_steps > 0 || save.every_minutes > 0;
  rest.saves = multiples(save.every_steps, done, total) +
               (save.final_model != FinalModel::none ? 1 : 0) +
               (periodic || save.final_model == FinalModel::none ? 1 : 0);
  return rest;
}

double seconds_left(RunClock const& clock, std::int64_t steps, Remaining const& rest,
                    SaveSection const& save, RunClock::Time now) {
  const auto each = [&](Part part, std::int64_t times) {
    return times > 0 ? clock.seconds(part, now) / static_cast<double>(times) : 0.0;
  };
  double left =
      each(Part::training, steps) * static_cast<double>(rest.steps) +
      each(Part::evaluation, clock.times(Part::evaluation)) * static_cast<double>(rest.evaluations);
  const double one_save = each(Part::saving, clock.times(Part::saving));
  left += one_save * static_cast<double>(rest.saves);
  if (save.every_minutes > 0) left += one_save * std::floor(left / (60 * save.every_minutes));
  return left;
}

}  // namespace lomo
