#include <cmath>
#include <cstdint>
#include <numbers>

#include "lomo/train/schedule.h"
#include "support/catch.h"

using namespace lomo;

// One rounding of each of the few operations of a formula.
constexpr double kRounding = 1e-15;

namespace {

constexpr auto kKinds = {ScheduleKind::constant, ScheduleKind::linear, ScheduleKind::cosine};

Schedule published(ScheduleKind kind, double peak, double warmup, std::int64_t total) {
  return {kind, peak, warmup, total, 0, /*published=*/true};
}

}  // namespace

// What transformers' get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup compute
// for the step after `s` steps (lr_lambda of their source), from the end of the warm-up on.
TEST_CASE("after the warm-up a rate is that of transformers' schedules") {
  for (const int total : {1, 5, 24, 100}) {
    for (const int warmup : {0, 1, 3}) {
      if (warmup >= total) continue;
      const Schedule linear(ScheduleKind::linear, 0.03, warmup, total);
      const Schedule cosine(ScheduleKind::cosine, 0.03, warmup, total);
      for (int s = warmup; s < total; ++s) {
        const double left = static_cast<double>(total - s) / (total - warmup);
        const double wave = 0.5 * (1 + std::cos(std::numbers::pi * (1 - left)));
        CHECK(std::abs(linear.at(s + 1) - 0.03 * left) < kRounding);
        CHECK(std::abs(cosine.at(s + 1) - 0.03 * wave) < kRounding);
      }
    }
  }
}

TEST_CASE("no step has a rate of 0, and the final share is reached after the last") {
  for (const ScheduleKind kind : kKinds) {
    for (const int total : {1, 2, 5, 50}) {
      for (const double warmup : {0.0, 0.1, 1.0, 2.0}) {
        for (const double last : {0.0, 0.25, 1.0}) {
          const Schedule schedule(kind, 2.0, warmup, total, last);
          for (int step = 1; step <= total; ++step) {
            CHECK(schedule.at(step) > 0);
            CHECK(schedule.at(step) <= 2.0);
          }
          if (kind != ScheduleKind::constant && warmup <= total) {
            CHECK(std::abs(schedule.at(total + 1) - 2.0 * last) < kRounding);
          }
        }
      }
    }
  }
}

TEST_CASE("a warm-up rises in proportion to its last step, which has the peak") {
  const Schedule share(ScheduleKind::linear, 1.0, 0.1, 45);  // 4.5 steps, rounded up
  const Schedule steps(ScheduleKind::linear, 1.0, 5, 45);
  for (int step = 1; step <= 45; ++step) CHECK(share.at(step) == steps.at(step));
  for (int step = 1; step <= 5; ++step) CHECK(std::abs(steps.at(step) - step / 5.0) < kRounding);
  CHECK(steps.at(7) < 1);
}

TEST_CASE("a warm-up of 1 is one step, and one longer than the run stays below the peak") {
  const Schedule one(ScheduleKind::linear, 1.0, 1, 50);
  CHECK(one.at(1) == 1.0);
  CHECK(one.at(50) < 0.05);
  const Schedule longer(ScheduleKind::linear, 1.0, 500, 50);
  CHECK(longer.at(50) == 0.1);
}

TEST_CASE("a published linear schedule warms up, peaks and ends at zero") {
  const Schedule schedule = published(ScheduleKind::linear, 0.03, 0.1, 100);
  CHECK(std::abs(schedule.at(1) - 0.003) < kRounding);
  CHECK(std::abs(schedule.at(5) - 0.015) < kRounding);
  CHECK(std::abs(schedule.at(10) - 0.03) < kRounding);
  CHECK(std::abs(schedule.at(55) - 0.015) < kRounding);
  CHECK(schedule.at(100) == 0.0);
}

TEST_CASE("a published cosine schedule is half way down in the middle of its decay") {
  const Schedule schedule = published(ScheduleKind::cosine, 2.0, 0.2, 10);
  CHECK(std::abs(schedule.at(1) - 1.0) < kRounding);
  CHECK(std::abs(schedule.at(2) - 2.0) < kRounding);
  CHECK(std::abs(schedule.at(6) - 1.0) < kRounding);
  CHECK(std::abs(schedule.at(10)) < kRounding);
}

TEST_CASE("a constant schedule keeps its rate") {
  const Schedule schedule(ScheduleKind::constant, 0.5, 0, 7);
  for (int step = 1; step <= 7; ++step) CHECK(schedule.at(step) == 0.5);
}

TEST_CASE("a published warm-up from 1 on counts steps, below it is a share") {
  const Schedule steps = published(ScheduleKind::linear, 1.0, 20, 200);
  const Schedule share = published(ScheduleKind::linear, 1.0, 0.1, 200);
  for (int step = 1; step <= 200; ++step) CHECK(steps.at(step) == share.at(step));
}

TEST_CASE("a published warm-up over the whole run only rises") {
  const Schedule schedule = published(ScheduleKind::linear, 1.0, 500, 50);
  for (int step = 2; step <= 50; ++step) CHECK(schedule.at(step) > schedule.at(step - 1));
  CHECK(schedule.at(50) == 1.0);
}

TEST_CASE("a run of one step has a finite rate") {
  for (const auto kind : kKinds) {
    CHECK(Schedule(kind, 1.0, 0.1, 1).at(1) == 1);
    const double lr = published(kind, 1.0, 0.1, 1).at(1);
    CHECK((lr > 0 && lr <= 1));
  }
}
