#include "run_clock.h"

#include <chrono>

#include "support/catch.h"

using namespace lomo;
using std::chrono::seconds;

TEST_CASE("every moment of a run belongs to one part") {
  RunClock::Time now;
  RunClock clock(now);
  CHECK(clock.enter(Part::setup, now += seconds(3)) == Part::data);
  clock.enter(Part::training, now += seconds(2));
  CHECK(clock.enter(Part::evaluation, now += seconds(10)) == Part::training);
  clock.enter(Part::training, now += seconds(4));
  clock.enter(Part::evaluation, now += seconds(10));
  clock.enter(Part::training, now += seconds(6));
  now += seconds(1);
  CHECK(clock.seconds(Part::data, now) == 3);
  CHECK(clock.seconds(Part::setup, now) == 2);
  CHECK(clock.seconds(Part::training, now) == 21);
  CHECK(clock.seconds(Part::evaluation, now) == 10);
  CHECK(clock.seconds(Part::saving, now) == 0);
  CHECK(clock.seconds(now) == 36);
  CHECK(clock.times(Part::evaluation) == 2);
}

TEST_CASE("what is left of a run counts its evaluations and saves") {
  EvalSection eval;
  eval.at_end = true;
  eval.every_steps = 10;
  eval.every_epochs = 0;
  SaveSection save;
  save.final_model = FinalModel::last;
  save.every_steps = 25;
  // After steps 20 ... 90, and at the end; saved after 25, 50, 75, and twice at the end.
  Remaining rest = remaining(eval, save, true, 10, 100, 0);
  CHECK(rest.steps == 90);
  CHECK(rest.evaluations == 9);
  CHECK(rest.saves == 5);
  CHECK(remaining(eval, save, false, 10, 100, 0).evaluations == 0);
  rest = remaining(eval, save, true, 100, 100, 0);
  CHECK(rest.steps == 0);
  CHECK(rest.evaluations == 1);
  CHECK(rest.saves == 2);
  eval.every_steps = 0;
  eval.every_epochs = 1;
  // Epochs of 40 steps: after 40 and 80, and at the end.
  CHECK(remaining(eval, save, true, 10, 100, 40).evaluations == 3);
  CHECK(remaining(eval, save, true, 41, 100, 40).evaluations == 2);
  // The end of the last epoch is the end of the run.
  CHECK(remaining(eval, save, true, 79, 80, 40).evaluations == 1);
}

TEST_CASE("the time that is left has evaluations and saves in it") {
  RunClock::Time now;
  RunClock clock(now);
  clock.enter(Part::evaluation, now += seconds(5));
  clock.enter(Part::training, now += seconds(8));
  SaveSection save;
  save.every_minutes = 0;
  CHECK(seconds_left(clock, 0, {100, 1, 1}, save, now) == 8);  // no step is known yet
  clock.enter(Part::saving, now += seconds(20));
  clock.enter(Part::training, now += seconds(3));
  // 2 s a step, 8 s an evaluation, 3 s a save.
  CHECK(seconds_left(clock, 10, {30, 4, 2}, save, now) == 60 + 32 + 6);
  save.every_minutes = 0.5;  // three times in 98 s
  CHECK(seconds_left(clock, 10, {30, 4, 2}, save, now) == 98 + 9);
}
