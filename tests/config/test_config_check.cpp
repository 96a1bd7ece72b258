// Settings that mean nothing, or not what they say.
#include <string>
#include <vector>

#include "lomo/config/check.h"
#include "lomo/data/metrics.h"
#include "support/catch.h"
#include "support/errors.h"

using namespace lomo;
using lomo::test::contains;
using lomo::test::error_of;

namespace {

TrainConfig config_of(std::string const& task = "ids") {
  TrainConfig config;
  config.data.task = task;
  return config;
}

/// A run of 24 steps in 3 epochs.
constexpr RunLength kLength{24, 8, true};

/// All that is said of a config, in one text.
std::string said(TrainConfig const& config, RunLength const& length = kLength) {
  std::string text;
  for (std::string const& warning : warnings(config, length)) text += warning + "\n";
  return text;
}

std::string unused(TrainConfig const& config) {
  std::string text;
  for (std::string const& warning : unused_keys(config)) text += warning + "\n";
  return text;
}

}  // namespace

TEST_CASE("a config in which everything comes is not remarked upon") {
  TrainConfig config = config_of();
  CHECK(said(config).empty());
  CHECK(unused(config).empty());
  config.schedule.warmup = 24;
  config.train.max_steps = 24;
  config.eval.every_steps = 4;
  config.eval.every_epochs = 1;
  config.save.every_steps = 8;
  config.save.keep_every = 16;
  config.save.keep_best = 1;
  config.save.best_metric = "perplexity";
  CHECK(said(config).empty());
  CHECK_NOTHROW(require_meaning(config, kLength));
}

TEST_CASE("a warm-up longer than the run is told, with what becomes of the rate") {
  TrainConfig config = config_of();
  config.schedule.warmup = 25;
  CHECK(contains(said(config), "schedule.warmup 25 is longer than the run: the run has 24 steps"));
  CHECK(contains(said(config), "never reaches optimizer.lr"));
  config.schedule.published = true;
  CHECK(contains(said(config), "cut to it"));
}

TEST_CASE("periods that never come are told") {
  TrainConfig config = config_of();
  config.eval.every_steps = 24;
  CHECK(contains(said(config), "eval.every_steps 24 never comes: the run has 24 steps"));
  config = config_of();
  config.eval.every_epochs = 3;
  CHECK(contains(said(config), "eval.every_epochs 3 never comes: 2 epochs end"));
  config.eval.every_epochs = 2;
  CHECK(said(config).empty());
  config = config_of();
  config.save.every_steps = 25;
  CHECK(contains(said(config), "save.every_steps 25 never comes"));
  config = config_of();
  config.train.max_steps = 100;
  CHECK(contains(said(config), "train.max_steps 100 never comes"));
  CHECK(contains(said(config, {1, 1, true}), "the run has 1 step."));
}

TEST_CASE("evaluations without data are told") {
  for (const bool by_steps : {false, true}) {
    TrainConfig config = config_of();
    (by_steps ? config.eval.every_steps : config.eval.every_epochs) = 1;
    CHECK(contains(said(config, {24, 8, false}), "nothing to evaluate on"));
  }
}

TEST_CASE("rules of retention that never match are told") {
  TrainConfig config = config_of();
  config.save.keep_every = 8;
  CHECK(contains(said(config), "save.keep_every is set, but no checkpoints are written"));
  config.save.every_steps = 5;
  CHECK(contains(said(config), "save.keep_every 8 matches no checkpoint"));
  config.save.every_steps = 4;
  CHECK(said(config).empty());
  config = config_of();
  config.save.keep_best = 2;
  CHECK(contains(said(config), "save.keep_best is set, but no checkpoints"));
  config.save.every_steps = 4;
  CHECK(contains(said(config), "no checkpoint comes with an evaluation"));
  config.eval.every_steps = 3;
  CHECK(said(config).empty());  // at step 12
  config.eval.every_steps = 7;
  CHECK(contains(said(config), "no checkpoint comes with an evaluation"));
}

TEST_CASE("a metric that the task does not have is refused with those it has") {
  for (auto const& [task, metric] : {std::pair{"ids", "accuracy"}, {"rte", "loss"}, {"cb", "em"}}) {
    TrainConfig config = config_of(task);
    config.save.best_metric = metric;
    const std::string message = error_of(Exit::usage, [&] { require_meaning(config, kLength); });
    CHECK(contains(message, std::string("\"") + metric + "\""));
    CHECK(contains(message, metric_names(task).front()));
  }
  TrainConfig config = config_of("rte");
  config.save.best_metric = "acuracy";
  CHECK(contains(error_of(Exit::usage, [&] { require_meaning(config, kLength); }),
                 "did you mean accuracy?"));
  for (std::string const& metric : metric_names("record")) {
    config = config_of("record");
    config.save.best_metric = metric;
    CHECK_NOTHROW(require_meaning(config, kLength));
  }
}

TEST_CASE("a best model needs evaluations to be chosen by") {
  TrainConfig config = config_of();
  config.save.final_model = FinalModel::best;
  CHECK(contains(error_of(Exit::usage, [&] { require_meaning(config, kLength); }),
                 "eval.every_steps"));
  config.eval.every_epochs = 1;
  CHECK_NOTHROW(require_meaning(config, kLength));
  error_of(Exit::usage, [&] { require_meaning(config, {24, 8, false}); });
  error_of(Exit::usage, [&] { require_meaning(config, {8, 8, true}); });  // one epoch
}

TEST_CASE("keys that nothing reads are told") {
  TrainConfig config = config_of();
  config.optimizer.momentum = 0.9;
  config.optimizer.clip_threshold = 2;
  config.loss_scale.window = 7;
  config.spike_guard.cut = 0.1;
  config.data.prompt_field = "question";
  config.data.document_separator = "\n";
  config.schedule.kind = ScheduleKind::constant;
  config.schedule.final = 0.1;
  CHECK(unused_keys(config).size() == 7);
  CHECK(contains(unused(config), "optimizer.momentum is set, but only optimizer sgd uses it"));
  CHECK(contains(unused(config), "loss_scale.window is set, but only model.dtype f16 uses it"));
  config.optimizer.kind = OptimizerKind::sgd;
  config.model.dtype = DType::f16;
  config.spike_guard.action = SpikeAction::cut_lr;
  config.data.task = "jsonl";
  config.schedule.kind = ScheduleKind::cosine;
  CHECK(unused_keys(config).size() == 2);  // those of adalomo and of text
}
