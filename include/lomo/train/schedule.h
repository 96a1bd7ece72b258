#pragma once
#include <cstdint>

#include "lomo/config/config.h"

namespace lomo {

/// The learning rate of every step, counted from 1, of a run of `total` steps with a warm-up of w:
///   step <= w   peak step / w
///   constant    peak
///   linear      peak (f + (1 - f) (1 - p))
///   cosine      peak (f + (1 - f) (1 + cos(pi p)) / 2)
/// with p = (step - 1 - w) / (total - w) and f the final share: the decay begins with the peak and
/// would reach f at the step after the last. After the warm-up that is transformers'
/// get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup, step by step; their warm-up
/// begins with a step of rate 0, this one with peak / w. A warm-up longer than the run ends below
/// the peak.
///
/// The published LOMO counts otherwise: with p = step / max(2, total) and the warm-up w a share of
/// the run, at most all of it,
///   p < w       peak p / w
///   linear      peak (1 - p) / (1 - w)
///   cosine      peak (1 + cos(pi (p - w) / (1 - w))) / 2
/// so that linear and cosine end on a step of rate 0.
class Schedule {
 public:
  /// `warmup` is a share of the run below 1, of which the steps are rounded up, and a number of
  /// steps from 1 on.
  Schedule(ScheduleKind kind, double peak, double warmup, std::int64_t total, double final = 0,
           bool published = false);
  double at(std::int64_t step) const;
  std::int64_t total() const { return total_; }

 private:
  double published_at(std::int64_t step) const;

  ScheduleKind kind_;
  double peak_;
  double warmup_;  // steps; published: a share of the run
  std::int64_t total_;
  double final_;
  bool published_;
};

}  // namespace lomo
