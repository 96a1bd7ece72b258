#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "lomo/config/config.h"

namespace lomo {

/// What a run spends its time on: reading and encoding data; planning, the engine, and loading
/// weights; steps; evaluations; checkpoints and the final model.
enum class Part { data, setup, training, evaluation, saving };
inline constexpr std::size_t kParts = 5;
char const* to_string(Part part);

/// Where the time of a run goes, by the wall clock: every moment belongs to one part.
class RunClock {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  explicit RunClock(Time now = Clock::now()) : since_(now) {}

  /// From now on time is spent on `part`. Returns what it was spent on before.
  Part enter(Part part, Time now = Clock::now());
  double seconds(Part part, Time now = Clock::now()) const;
  double seconds(Time now = Clock::now()) const;
  /// How often a part was entered.
  std::int64_t times(Part part) const { return times_[static_cast<std::size_t>(part)]; }

 private:
  std::array<Clock::duration, kParts> spent_{};
  std::array<std::int64_t, kParts> times_{};
  Part part_ = Part::data;
  Time since_;
};

/// Time spent on `part` while this exists.
class Spending {
 public:
  Spending(RunClock& clock, Part part) : clock_(clock), before_(clock.enter(part)) {}
  Spending(Spending const&) = delete;
  ~Spending() { clock_.enter(before_); }

 private:
  RunClock& clock_;
  Part before_;
};

/// What a run has still to do.
struct Remaining {
  std::int64_t steps = 0, evaluations = 0, saves = 0;
};
/// After `done` of `total` steps; `epoch` steps are about one epoch. `evaluates`: there is
/// something to evaluate on.
Remaining remaining(EvalSection const& eval, SaveSection const& save, bool evaluates,
                    std::int64_t done, std::int64_t total, double epoch);

/// Seconds for that, when each takes what it took so far: `steps` were made in the time for
/// training. What was never done is taken to need none.
double seconds_left(RunClock const& clock, std::int64_t steps, Remaining const& rest,
                    SaveSection const& save, RunClock::Time now = RunClock::Clock::now());

}  // namespace lomo
