// What a run will have on its disk at once.
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "disk_space.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/files.h"

using namespace lomo;

namespace {

constexpr double kModel = 13e9;

DiskNeed need_of(std::optional<std::int64_t> total, std::int64_t done = 0, double optimizer = 0) {
  DiskNeed need;
  need.model = static_cast<std::uint64_t>(kModel);
  need.optimizer = static_cast<std::uint64_t>(optimizer);
  need.total = total;
  need.done = done;
  return need;
}

/// In models, but for the metrics.
double models(SaveSection const& save, DiskNeed const& need, std::int64_t there = 0,
              EvalSection const& eval = {}) {
  const DiskPeak peak = disk_peak(save, eval, need, there);
  const double logs = peak.bytes - kModel * std::round(peak.bytes / kModel);
  CHECK(logs >= 0);
  CHECK(logs < 0.01 * kModel);
  return std::round(peak.bytes / kModel);
}

}  // namespace

TEST_CASE("a run without checkpoints needs room for one model") {
  SaveSection save;
  CHECK(models(save, need_of(1000)) == 1);
  save.final_model = FinalModel::none;  // then a checkpoint is written at the end
  CHECK(models(save, need_of(1000)) == 1);
  // A run that is stopped writes a checkpoint in place of the model: with Adam it is the larger.
  CHECK(models(SaveSection{}, need_of(1000, 0, 2 * kModel)) == 3);
}

TEST_CASE("checkpoints are counted as the config writes and keeps them") {
  SaveSection save;
  save.every_steps = 100;
  save.keep_last = 2;
  CHECK(models(save, need_of(1000)) == 3);  // two and one in writing, or two and the model
  CHECK(models(save, need_of(200)) == 3);   // two and the model
  CHECK(models(save, need_of(100)) == 2);
  CHECK(models(save, need_of(50)) == 2);  // one at the end, and the model
  save.final_model = FinalModel::none;
  CHECK(models(save, need_of(1000)) == 3);
  CHECK(models(save, need_of(200)) == 2);
  save.final_model = FinalModel::last;
  save.keep_best = 1;
  save.keep_every = 500;
  CHECK(models(save, need_of(1000)) == 6);  // 2 + 1 + 2, and one more
  save.keep_last = 0;
  CHECK(models(save, need_of(1000)) == 11);  // all ten, and the model
  CHECK(models(save, need_of(1050)) == 12);
  save.keep_last = 2;
  CHECK(models(save, need_of(1000, 0, kModel)) == 12);  // six checkpoints with as much again
}

TEST_CASE("by the clock as many checkpoints are counted as are kept") {
  SaveSection save;
  save.every_minutes = 30;
  save.keep_last = 3;
  CHECK(models(save, need_of(10)) == 4);
  save.keep_last = 1000000000;
  CHECK(models(save, need_of(10)) == 1e9 + 1);
  save.keep_last = 0;
  CHECK(models(save, need_of(10)) == 2);
}

TEST_CASE("a resumed run counts what lies there and what is still to come") {
  SaveSection save;
  save.every_steps = 100;
  save.keep_last = 2;
  CHECK(models(save, need_of(1000, 200), 2) == 1);  // one in writing, or the model
  CHECK(models(save, need_of(1000, 900), 2) == 1);
  save.keep_last = 0;
  CHECK(models(save, need_of(1000, 800), 8) == 3);  // two more and the model
}

TEST_CASE("the best model may need a checkpoint at each evaluation") {
  SaveSection save;
  save.final_model = FinalModel::best;
  save.keep_best = 1;
  save.keep_last = 1;
  EvalSection eval;
  eval.every_steps = 100;
  CHECK(models(save, need_of(1000), 0, eval) == 3);  // one, the best, and one more
  CHECK(models(save, need_of(150), 0, eval) == 2);
}

TEST_CASE("before the number of steps is known the least is counted that any run needs") {
  SaveSection save;
  CHECK(models(save, need_of({})) == 1);
  CHECK(models(save, need_of({}, 0, 2 * kModel)) == 3);
  save.every_steps = 100;
  CHECK(models(save, need_of({})) == 1);
  CHECK(models(save, need_of({}, 250), 2) == 1);  // one after the last step, or the model
  save.every_steps = 0;
  save.every_minutes = 30;
  save.keep_last = 3;
  CHECK(models(save, need_of({})) == 4);  // not a matter of steps
  // It is never more than what is counted once the steps are known.
  for (const std::int64_t every : {0, 1, 3, 10}) {
    for (const std::int64_t done : {0, 3, 10}) {
      for (const FinalModel last : {FinalModel::last, FinalModel::best, FinalModel::none}) {
        SaveSection any;
        any.every_steps = every;
        any.keep_last = 2;
        any.final_model = last;
        for (std::int64_t total = done; total < done + 25; ++total) {
          CHECK(disk_peak(any, {}, need_of({}, done), 1).bytes <=
                disk_peak(any, {}, need_of(total, done), 1).bytes);
        }
      }
    }
  }
}

TEST_CASE("a disk without room is told with what is to be written") {
  const test::TemporaryFolder scratch;
  TrainConfig config;
  const std::string message = test::error_of(Exit::usage, [&] {
    require_disk_space(scratch.path(), config, {std::uint64_t{1} << 60, 0, 0, 10, 0});
  });
  CHECK(test::contains(message, "the final model of 1,024.0 PiB"));
  CHECK_FALSE(test::contains(message, "checkpoint of"));
  CHECK_NOTHROW(require_disk_space(scratch.path(), config, {1000, 0, 0, 10, 0}));
  // A folder that is not there yet lies on the disk of the one that is.
  const std::string nested = test::error_of(Exit::usage, [&] {
    require_disk_space(scratch.path() / "a/b", config, {1000, 0, std::uint64_t{1} << 60, {}, 0});
  });
  CHECK(test::contains(nested, "at least"));
  CHECK(test::contains(nested, "metrics, log and predictions of 1,024.0 PiB"));
}
