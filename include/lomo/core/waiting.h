#pragma once
#include <algorithm>
#include <chrono>

namespace lomo {

/// How long a loop that looks again and again has waited. Between two looks no more than a second
/// counts: where it was longer this process was stopped (SIGSTOP, a suspended job) or its machine
/// asleep, and who was waited for is not to blame.
class WaitingTime {
 public:
  using Clock = std::chrono::steady_clock;
  explicit WaitingTime(Clock::time_point begin = Clock::now()) : last_(begin) {}

  /// So far.
  std::chrono::nanoseconds look(Clock::time_point now = Clock::now()) {
    waited_ += std::min<Clock::duration>(now - last_, std::chrono::seconds(1));
    last_ = now;
    return waited_;
  }

 private:
  Clock::time_point last_;
  Clock::duration waited_{};
};

}  // namespace lomo
