#include <cmath>
#include <limits>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/train/spike_guard.h"
#include "support/errors.h"
#include "train/bench.h"

using namespace lomo;

namespace {

SpikeGuardSection section(SpikeAction action) {
  SpikeGuardSection s;
  s.action = action;
  s.window = 8;
  s.min_steps = 4;
  s.threshold = 5;
  return s;
}

/// A level of 2 that wobbles by `spread`.
double wobble(int step, double spread) {
  return 2 + spread * (step % 2 == 0 ? 1 : -1);
}

}  // namespace

TEST_CASE("z-scores are those of the definition") {
  const std::vector<double> history = {1, 2, 3, 6};  // mean 3, variance 14 / 4
  CHECK(z_score(history, 3) == 0);
  CHECK(z_score(history, 10) == Approx(7 / std::sqrt(3.5)).epsilon(1e-14));
  CHECK(z_score(history, -4) == Approx(-7 / std::sqrt(3.5)).epsilon(1e-14));
  CHECK(z_score({}, 5) == 0);
  CHECK(z_score({4, 4, 4}, 4.4) == Approx(10).epsilon(1e-12));  // at least a hundredth of the mean
  CHECK(z_score({0, 0}, 0) == 0);
  CHECK(z_score({0, 0}, 1e-30) == std::numeric_limits<double>::infinity());
}

TEST_CASE("a guard judges from min_steps on, by the last window of applied steps") {
  SpikeGuard spike_guard(section(SpikeAction::warn));
  for (int i = 0; i < 3; ++i) spike_guard.applied(wobble(i, 0.1), 1);
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(100, 100)));  // too few to judge by
  spike_guard.applied(wobble(3, 0.1), 1);
  CHECK(spike_guard.is_spike(spike_guard.scores(100, 1)));
  CHECK(spike_guard.is_spike(spike_guard.scores(2, 100)));
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(2.4, 1)));   // 4 deviations
  CHECK(spike_guard.is_spike(spike_guard.scores(2.6, 1)));         // 6
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(-100, 0)));  // falling is no spike
  for (int i = 0; i < 20; ++i) spike_guard.applied(wobble(i, 1), 1);
  CHECK(spike_guard.state().losses.size() == 8);
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(2.6, 1)));  // the calm steps are forgotten

  SpikeGuard other(section(SpikeAction::warn));
  other.restore(spike_guard.state());
  CHECK(other.scores(9, 3).loss == spike_guard.scores(9, 3).loss);
}

TEST_CASE("a new level is accepted when its steps are applied") {
  SpikeGuard spike_guard(section(SpikeAction::warn));
  for (int i = 0; i < 8; ++i) spike_guard.applied(wobble(i, 0.1), 1);
  int spikes = 0;
  for (int i = 0; i < 8; ++i) {
    const double loss = 10 + wobble(i, 0.1);
    spikes += spike_guard.is_spike(spike_guard.scores(loss, 1)) ? 1 : 0;
    spike_guard.applied(loss, 1);
  }
  CHECK(spikes >= 1);
  CHECK(spikes < 8);
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(12, 1)));
}

TEST_CASE("a guard that is off keeps and says nothing") {
  SpikeGuard spike_guard(section(SpikeAction::off));
  for (int i = 0; i < 30; ++i) spike_guard.applied(1, 1);
  CHECK(spike_guard.state().losses.empty());
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(1e9, 1e9)));
}

TEST_CASE("a spike in training is answered as the config says") {
  const SpikeAction action =
      GENERATE(SpikeAction::warn, SpikeAction::skip, SpikeAction::cut_lr, SpikeAction::stop);
  const auto kind = GENERATE(OptimizerKind::lomo, OptimizerKind::adamw);
  const std::int64_t kept = kind == OptimizerKind::lomo ? GENERATE(0, 1, 3) : 0;
  test::Bench bench;
  TrainConfig config = test::bench_config(kind, 1.0);
  config.clip.kept_blocks = kept;  // blocks whose factors wait for the gradient check
  config.optimizer.lr = 1e-4;
  config.spike_guard = section(action);
  const Schedule schedule(ScheduleKind::constant, 1e-4, 0, 10);
  Trainer trainer(bench.model, config, schedule);
  for (int i = 0; i < 6; ++i) {
    const StepReport calm = trainer.step(bench.batch);
    CHECK(calm.outcome == StepOutcome::applied);
    CHECK_FALSE(calm.is_spike);
  }
  bench.scale(bench.model.weights().head(), 20);  // sure of the wrong answers
  const auto before = bench.weights();
  const TrainerState state = trainer.state();
  if (action == SpikeAction::stop) {
    const std::string message = test::error_of(Exit::diverged, [&] { trainer.step(bench.batch); });
    CHECK(test::contains(message, "spike"));
    CHECK(bench.weights() == before);
    return;
  }
  const StepReport spike = trainer.step(bench.batch);
  CHECK(spike.is_spike);
  CHECK(spike.spike.loss > 5);
  if (action == SpikeAction::skip) {
    CHECK(spike.outcome == StepOutcome::spike);
    CHECK(bench.weights() == before);
    CHECK(trainer.state().skipped == 1);
    CHECK(trainer.state().spike_guard == state.spike_guard);  // what is not applied is no measure
    trainer.step(bench.batch);
    const std::string message = test::error_of(Exit::diverged, [&] { trainer.step(bench.batch); });
    CHECK(test::contains(message, "3 steps in a row"));
    return;
  }
  CHECK(spike.outcome == StepOutcome::applied);
  CHECK(bench.weights() != before);
  CHECK(spike.lr == (action == SpikeAction::cut_lr ? 0.5e-4 : 1e-4));
  bench.scale(bench.model.weights().head(), 0.05f);
  CHECK(trainer.step(bench.batch).lr == spike.lr);  // a cut stays
}
