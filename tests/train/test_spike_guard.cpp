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
  for (int i = 0; i < 3; ++i) spike_guard.applied({wobble(i, 0.1)}, 1);
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(100, 100)));  // too few to judge by
  spike_guard.applied({wobble(3, 0.1)}, 1);
  CHECK(spike_guard.is_spike(spike_guard.scores(100, 1)));
  CHECK(spike_guard.is_spike(spike_guard.scores(2, 100)));
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(2.4, 1)));   // 4 deviations
  CHECK(spike_guard.is_spike(spike_guard.scores(2.6, 1)));         // 6
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(-100, 0)));  // falling is no spike
  for (int i = 0; i < 20; ++i) spike_guard.applied({wobble(i, 1)}, 1);
  CHECK(spike_guard.state().losses.size() == 8);
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(2.6, 1)));  // the calm steps are forgotten

  SpikeGuard other(section(SpikeAction::warn));
  other.restore(spike_guard.state());
  CHECK(other.scores(9, 3).loss == spike_guard.scores(9, 3).loss);
}

TEST_CASE("norms are judged by their logarithms") {
  SpikeGuard spike_guard(section(SpikeAction::warn));
  for (int i = 0; i < 8; ++i) spike_guard.applied({2}, i % 2 == 0 ? 1 : 4);  // deviation: log 2
  CHECK(spike_guard.scores(2, 32).norm == Approx(4).epsilon(1e-12));         // 2 * 2^4
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(2, 32)));
  CHECK(spike_guard.is_spike(spike_guard.scores(2, 128)));
  CHECK(spike_guard.scores(2, 0).norm < 0);
}

TEST_CASE("a new level is accepted when its steps are applied") {
  SpikeGuard spike_guard(section(SpikeAction::warn));
  for (int i = 0; i < 8; ++i) spike_guard.applied({wobble(i, 0.1)}, 1);
  int spikes = 0;
  for (int i = 0; i < 8; ++i) {
    const double loss = 10 + wobble(i, 0.1);
    spikes += spike_guard.is_spike(spike_guard.scores(loss, 1)) ? 1 : 0;
    spike_guard.applied({loss}, 1);
  }
  CHECK(spikes >= 1);
  CHECK(spikes < 8);
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(12, 1)));
}

TEST_CASE("a guard that is off keeps and says nothing") {
  SpikeGuard spike_guard(section(SpikeAction::off));
  for (int i = 0; i < 30; ++i) spike_guard.applied({1}, 1);
  CHECK(spike_guard.state().losses.empty());
  CHECK_FALSE(spike_guard.is_spike(spike_guard.scores(1e9, 1e9)));
}

TEST_CASE("the error of a batch's loss is that of a mean") {
  // Losses 1, 2, 3, 6: mean 3, sample variance 14 / 3.
  const BatchLoss loss = batch_loss(12, 50, 4);
  CHECK(loss.mean == 3);
  CHECK(loss.error == Approx(std::sqrt(14.0 / 3 / 4)).epsilon(1e-14));
  CHECK(batch_loss(2.5, 6.25, 1) == BatchLoss{2.5, 2.5});
  CHECK(batch_loss(9, 27, 3) == BatchLoss{3, 0});
}

TEST_CASE("a loss that leaves its level at the start is found from the fifth step on") {
  SpikeGuard spike_guard(section(SpikeAction::warn));
  const double error = 0.06;
  spike_guard.applied({1.5, error}, 1);  // the untouched model
  const std::vector<double> ruined = {2.8, 5.1, 8.0, 8.0, 11.6, 7.2};
  std::vector<std::int64_t> found;
  for (const double loss : ruined) {
    found.push_back(spike_guard.rise({loss, error}).steps);
    spike_guard.applied({loss, error}, 1);
  }
  CHECK(found == std::vector<std::int64_t>{0, 0, 0, 1, 2, 3});
  CHECK(spike_guard.rise({7, error}).start == 1.5);
  CHECK(spike_guard.rise({7, error}).now == Approx((8.0 + 11.6 + 7.2 + 7) / 4));
  CHECK(spike_guard.rise({1.6, error}).steps == 0);  // one good step ends it

  // Where the evaluation before training was worse than the first batch, that is the level.
  SpikeGuard evaluated(section(SpikeAction::warn));
  evaluated.evaluated(7);
  evaluated.applied({1.5, error}, 1);
  for (const double loss : ruined) {
    CHECK(evaluated.rise({loss, error}).steps == 0);
    evaluated.applied({loss, error}, 1);
  }

  SpikeGuard other(section(SpikeAction::warn));
  other.restore(spike_guard.state());
  CHECK(other.rise({9, error}).steps == spike_guard.rise({9, error}).steps);
}

TEST_CASE("what a healthy run does is no rise") {
  const auto rises = [](std::vector<BatchLoss> const& losses) {
    SpikeGuard spike_guard(section(SpikeAction::warn));
    int count = 0;
    for (BatchLoss const& loss : losses) {
      count += spike_guard.rise(loss).steps > 0 ? 1 : 0;
      spike_guard.applied(loss, 1);
    }
    return count;
  };
  // A bump of a fifth as a warm-up ends, by batches so large that it is no chance.
  std::vector<BatchLoss> bump = {{2.0, 0.01}};
  for (int i = 0; i < 30; ++i) bump.push_back({2.4, 0.01});
  CHECK(rises(bump) == 0);
  // Batches of few targets, of which the first was easy by chance.
  std::vector<BatchLoss> noisy = {{0.3, 0.2}};
  for (int i = 0; i < 200; ++i) noisy.push_back({0.9 + 0.4 * std::sin(i), 0.5});
  CHECK(rises(noisy) == 0);
  // One batch that stands out is for the z-scores.
  std::vector<BatchLoss> outlier(20, BatchLoss{2.0, 0.05});
  outlier[9].mean = 30;
  CHECK(rises(outlier) == 0);
}

TEST_CASE("a rise in training is answered as the config says") {
  const SpikeAction action =
      GENERATE(SpikeAction::warn, SpikeAction::skip, SpikeAction::cut_lr, SpikeAction::stop);
  test::Bench bench;
  TrainConfig config = test::bench_config(OptimizerKind::lomo, 0);
  config.optimizer.lr = 1e-6;
  config.spike_guard = section(action);
  config.spike_guard.min_steps = 8;  // the z-scores do not judge yet
  const Schedule schedule(ScheduleKind::constant, 1e-6, 0, 10);
  Trainer trainer(bench.model, config, schedule);
  trainer.evaluated_before(1.0);  // below the loss of the batch, which then is the level
  trainer.step(bench.batch);
  bench.scale(bench.model.weights().head(), 40);
  for (int i = 0; i < 3; ++i) CHECK(trainer.step(bench.batch).rise.steps == 0);
  const auto before = bench.weights();
  if (action == SpikeAction::stop) {
    const std::string message = test::error_of(Exit::diverged, [&] { trainer.step(bench.batch); });
    CHECK(test::contains(message, "above that at the start"));
    CHECK(bench.weights() == before);
    return;
  }
  const StepReport risen = trainer.step(bench.batch);
  CHECK(risen.rise.steps == 1);
  CHECK_FALSE(risen.is_spike);
  CHECK(risen.lr == (action == SpikeAction::cut_lr ? 0.5e-6 : 1e-6));
  if (action == SpikeAction::skip) {
    CHECK(risen.outcome == StepOutcome::spike);
    CHECK(bench.weights() == before);
    trainer.step(bench.batch);  // a model that is ruined does not come back: the run ends
    test::error_of(Exit::diverged, [&] { trainer.step(bench.batch); });
    return;
  }
  // Told and answered after 1, 2, 4, ... steps.
  CHECK(is_news(trainer.step(bench.batch).rise));
  const StepReport third = trainer.step(bench.batch);
  CHECK(third.rise.steps == 3);
  CHECK_FALSE(is_news(third.rise));
  CHECK(third.lr == (action == SpikeAction::cut_lr ? 0.25e-6 : 1e-6));
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
