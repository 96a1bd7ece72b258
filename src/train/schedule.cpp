#include "lomo/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lomo {

namespace {

double steps_of(std::int64_t total) {
  return static_cast<double>(std::max<std::int64_t>(2, total));
}

/// The share of the peak when `left` of the decay is still to come.
double shape(ScheduleKind kind, double left, double final) {
  switch (kind) {
    case ScheduleKind::constant:
      return 1;
    case ScheduleKind::linear:
      return final + (1 - final) * left;
    case ScheduleKind::cosine:
      return final + (1 - final) * 0.5 * (1 + std::cos(std::numbers::pi * (1 - left)));
  }
  return 1;
}

}  // namespace

Schedule::Schedule(ScheduleKind kind, double peak, double warmup, std::int64_t total, double final,
                   bool published)
    : kind_(kind), peak_(peak), total_(total), final_(final), published_(published) {
  if (published) {
    warmup_ = warmup < 1 ? warmup : std::min(1.0, warmup / steps_of(total));
  } else {
    warmup_ = warmup < 1 ? std::ceil(warmup * static_cast<double>(total)) : warmup;
  }
}

double Schedule::at(std::int64_t step) const {
  if (published_) return published_at(step);
  if (static_cast<double>(step) <= warmup_) return peak_ * static_cast<double>(step) / warmup_;
  const auto total = static_cast<double>(total_);
  const double left = (total - static_cast<double>(step - 1)) / std::max(1.0, total - warmup_);
  return peak_ * shape(kind_, std::max(0.0, left), final_);
}

double Schedule::published_at(std::int64_t step) const {
  const double p = std::min(1.0, static_cast<double>(step) / steps_of(total_));
  if (p < warmup_) return peak_ * p / warmup_;
  // A warm-up over the whole run has nothing left to decay in.
  const double left = warmup_ < 1 ? (1 - p) / (1 - warmup_) : 1;
  return peak_ * shape(kind_, left, 0);
}

}  // namespace lomo
