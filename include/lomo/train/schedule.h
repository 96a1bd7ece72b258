#pragma once
#include <cstdint>
#include <string_view>

namespace lomo {

enum class ScheduleKind : std::uint8_t { constant, linear, cosine };
std::string_view to_string(ScheduleKind kind);

/// The learning rate of every step, as the published LOMO counts it. With progress
/// p = step / max(2, total), step from 1, and the warm-up w as a share of the run:
///   p < w       peak p / w
///   constant    peak
///   linear      peak (1 - p) / (1 - w)
///   cosine      peak (1 + cos(pi (p - w) / (1 - w))) / 2
/// so linear and cosine end on a step of rate 0.
class Schedule {
 public:
  /// `warmup` is a share of the run up to 1 and a number of steps above.
  Schedule(ScheduleKind kind, double peak, double warmup, std::int64_t total);
  double at(std::int64_t step) const;
  std::int64_t total() const { return total_; }

 private:
  ScheduleKind kind_;
  double peak_;
  double warmup_;  // as a share
  std::int64_t total_;
};

}  // namespace lomo
