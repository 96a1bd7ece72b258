#include "lomo/core/waiting.h"

#include <chrono>

#include "support/catch.h"

using namespace lomo;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("time in which a process was stopped is no waiting") {
  WaitingTime::Clock::time_point now;
  WaitingTime waiting(now);
  for (int i = 0; i < 30; ++i) waiting.look(now += milliseconds(100));
  CHECK(waiting.look(now) == seconds(3));
  CHECK(waiting.look(now += hours(5)) == seconds(4));
  CHECK(waiting.look(now += milliseconds(900)) == milliseconds(4900));
}
