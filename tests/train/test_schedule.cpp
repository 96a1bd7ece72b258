#include <cmath>

#include "lomo/train/schedule.h"
#include "support/catch.h"

using namespace lomo;

// One rounding of each of the few operations of a formula.
constexpr double kRounding = 1e-15;

TEST_CASE("a linear schedule warms up, peaks and ends at zero, as published") {
  const Schedule schedule(ScheduleKind::linear, 0.03, 0.1, 100);
  CHECK(std::abs(schedule.at(1) - 0.003) < kRounding);
  CHECK(std::abs(schedule.at(5) - 0.015) < kRounding);
  CHECK(std::abs(schedule.at(10) - 0.03) < kRounding);
  CHECK(std::abs(schedule.at(55) - 0.015) < kRounding);
  CHECK(schedule.at(100) == 0.0);
}

TEST_CASE("a cosine schedule is half way down in the middle of its decay") {
  const Schedule schedule(ScheduleKind::cosine, 2.0, 0.2, 10);
  CHECK(std::abs(schedule.at(1) - 1.0) < kRounding);
  CHECK(std::abs(schedule.at(2) - 2.0) < kRounding);
  CHECK(std::abs(schedule.at(6) - 1.0) < kRounding);
  CHECK(std::abs(schedule.at(10)) < kRounding);
}

TEST_CASE("a constant schedule keeps its rate") {
  const Schedule schedule(ScheduleKind::constant, 0.5, 0, 7);
  for (int step = 1; step <= 7; ++step) CHECK(schedule.at(step) == 0.5);
}

TEST_CASE("a warm-up above 1 counts steps, up to 1 it is a share") {
  const Schedule steps(ScheduleKind::linear, 1.0, 20, 200);
  const Schedule share(ScheduleKind::linear, 1.0, 0.1, 200);
  for (int step = 1; step <= 200; ++step) CHECK(steps.at(step) == share.at(step));
}

TEST_CASE("a warm-up over the whole run only rises") {
  for (const double warmup : {1.0, 500.0}) {
    const Schedule schedule(ScheduleKind::linear, 1.0, warmup, 50);
    for (int step = 2; step <= 50; ++step) CHECK(schedule.at(step) > schedule.at(step - 1));
    CHECK(schedule.at(50) == 1.0);
  }
}

TEST_CASE("a run of one step has a finite rate") {
  for (const auto kind : {ScheduleKind::constant, ScheduleKind::linear, ScheduleKind::cosine}) {
    const double lr = Schedule(kind, 1.0, 0.1, 1).at(1);
    CHECK((lr > 0 && lr <= 1));
  }
}
