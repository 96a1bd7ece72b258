#include "lomo/plan/ablation.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "lomo/core/error.h"

namespace lomo {

namespace {

constexpr std::size_t kWhole = std::numeric_limits<std::size_t>::max();
// Neither memory nor time depends on it; small, so that random weights stay finite.
constexpr double kRate = 1e-6;
// First steps of fp16 that may overflow until the loss scale has fallen far enough.
constexpr int kMaxFirstSteps = 40;

/// One case on an engine of its own.
class CaseRun {
 public:
  CaseRun(AblationCase const& what, ModelConfig const& shape, Engine engine)
      : trains_(what.trains), runtime_(std::move(engine), what.run, shape) {
    if (trains_) runtime_.start_training(Schedule(ScheduleKind::constant, kRate, 0, 1));
    runtime_.ledger().restart();
  }

  Runtime& runtime() { return runtime_; }
  void find_norms_by(NormMethod method) {
    if (trains_) runtime_.trainer().find_norms_by(method);
  }

  /// Seconds; whether the step was applied.
  std::pair<double, bool> step(Batch const& batch) {
    const auto start = std::chrono::steady_clock::now();
    bool applied = true;
    if (trains_) {
      applied = runtime_.trainer().step(batch).outcome == StepOutcome::applied;
    } else {
      runtime_.model().score(batch);
      runtime_.backend().synchronize();
    }
    return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
            applied};
  }

 private:
  bool trains_;
  Runtime runtime_;
};

void read_accounting(Ledger const& ledger, AblationRow& row) {
  row.peak = ledger.peak();
  row.at_peak = ledger.at_peak();
  row.gradients = ledger.peak_by_category()[static_cast<std::size_t>(Category::gradients)];
  row.flops = ledger.flops();
}

}  // namespace

std::vector<AblationCase> ablation_cases(TrainConfig const& config, ModelConfig const& shape) {
  std::vector<AblationCase> cases;
  TrainConfig base = config;
  base.metrics.rounding_every = 0;  // a look at some steps, no part of the method
  base.spike_guard.action = SpikeAction::off;
  base.clip.kept_blocks = 0;
  base.memory.keep_logits_bytes = 0;
  cases.push_back({"inference", /*trains=*/false, false, base});
  struct Method {
    char const* name;
    OptimizerKind kind;
    std::size_t tile;
  };
  const std::size_t tile = config.memory.tile_bytes;
  for (const Method method :
       {Method{"AdamW", OptimizerKind::adamw, tile}, Method{"SGD", OptimizerKind::sgd, tile},
        Method{"AdaLomo", OptimizerKind::adalomo, tile},
        Method{"LOMO, by tensor", OptimizerKind::lomo, kWhole},
        Method{"LOMO, by tile", OptimizerKind::lomo, tile}}) {
    for (const Recompute recompute : {Recompute::none, Recompute::block}) {
      for (const std::size_t logits : {kWhole, std::size_t{0}}) {
        TrainConfig run = base;
        run.optimizer.kind = method.kind;
        run.memory.tile_bytes = method.tile;
        run.train.recompute = recompute;
        run.memory.keep_logits_bytes = logits;
        cases.push_back({method.name, true, false, run});
      }
    }
  }
  TrainConfig run = cases.back().run;
  run.clip.kept_blocks = shape.layers;
  cases.push_back({"LOMO, by tile", true, /*keeps_factors=*/true, run});
  return cases;
}

AblationRow plan_case(AblationCase const& what, ModelConfig const& shape, Batch const& batch,
                      MakeEngine const& make_dry) {
  AblationRow row{.what = what};
  CaseRun run(what, shape, make_dry());
  run.step(batch);
  read_accounting(run.runtime().ledger(), row);
  run.find_norms_by(NormMethod::tiles);  // as where no cheaper norm can be trusted
  run.step(batch);
  row.slab = run.runtime().ledger().extent();
  return row;
}

AblationRow measure_case(AblationRow row, ModelConfig const& shape, Batch const& batch,
                         Engine engine, int steps) {
  CaseRun run(row.what, shape, std::move(engine));
  run.runtime().initialise(/*seed=*/1);
  Ledger& ledger = run.runtime().ledger();
  int first_steps = 0;
  while (!run.step(batch).second) {
    if (++first_steps == kMaxFirstSteps) {
      throw Error(Exit::diverged, row.what.method + ": no step on random weights is finite");
    }
  }
  std::vector<double> seconds;
  for (int i = 0; i < steps; ++i) {
    ledger.restart();
    seconds.push_back(run.step(batch).first);
  }
  read_accounting(ledger, row);
  std::sort(seconds.begin(), seconds.end());
  row.tokens_per_second = static_cast<double>(batch.rows()) / seconds[seconds.size() / 2];
  return row;
}

}  // namespace lomo
