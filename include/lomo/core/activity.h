#pragma once
#include <chrono>
#include <string>

namespace lomo {

/// A part of the work that may take long, such as reading data, and how far it is. The first two
/// seconds of it show nothing; then there is a status line, or where stderr cannot draw a log line
/// every ten seconds, and a last one that says how long it took, unless what comes next does. Used
/// by one thread at a time.
class Activity {
 public:
  enum class Unit { count, bytes };
  enum class End { said, quiet };
  /// `what`: "reading data/train.jsonl". `total` of what `advance` counts; 0: not known.
  explicit Activity(std::string what, double total = 0, Unit unit = Unit::count,
                    End end = End::said);
  Activity(Activity const&) = delete;
  ~Activity();

  void advance(double amount = 1);

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(Clock::time_point now) const;
  std::string amount(double of) const;

  std::string what_;
  double total_;
  Unit unit_;
  End end_;
  double done_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point due_;  // of the next line
  bool shown_ = false;
};

}  // namespace lomo
