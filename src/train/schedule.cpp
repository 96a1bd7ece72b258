#include "lomo/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lomo {

namespace {

double steps_of(std::int64_t total) {
  return static_cast<double>(std::max<std::int64_t>(2, total));
}

}  // namespace

std::string_view to_string(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::constant:
      return "constant";
    case ScheduleKind::linear:
      return "linear";
    case ScheduleKind::cosine:
      return "cosine";
  }
  return "?";
}

Schedule::Schedule(ScheduleKind kind, double peak, double warmup, std::int64_t total)
    : kind_(kind),
      peak_(peak),
      warmup_(warmup <= 1 ? warmup : std::min(1.0, warmup / steps_of(total))),
      total_(total) {}

double Schedule::at(std::int64_t step) const {
  const double p = std::min(1.0, static_cast<double>(step) / steps_of(total_));
  if (p < warmup_) return peak_ * p / warmup_;
  // A warm-up over the whole run has nothing left to decay in.
  const double left = warmup_ < 1 ? (1 - p) / (1 - warmup_) : 1;
  switch (kind_) {
    case ScheduleKind::constant:
      return peak_;
    case ScheduleKind::linear:
      return peak_ * left;
    case ScheduleKind::cosine:
      return peak_ * 0.5 * (1 + std::cos(std::numbers::pi * (1 - left)));
  }
  return peak_;
}

}  // namespace lomo
