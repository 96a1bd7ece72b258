#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/config/config.h"

namespace lomo {

/// How long a run is, once its data are known.
struct RunLength {
  std::int64_t steps = 0;            // of the whole run
  std::int64_t steps_per_epoch = 0;  // of the first epoch
  bool evaluates = false;            // there is something to evaluate on
};

/// Settings that mean nothing in this run, one sentence each: periods that never come, rules that
/// never match, a warm-up that never ends.
std::vector<std::string> warnings(TrainConfig const& config, RunLength const& length);

/// Keys that are set and that nothing reads, such as optimizer.momentum of lomo, one sentence each.
std::vector<std::string> unused_keys(TrainConfig const& config);

/// Throws Error(Exit::usage) where the config asks for something that cannot be: a save.best_metric
/// that the task does not have, a best model without evaluations to choose it by.
void require_meaning(TrainConfig const& config, RunLength const& length);

}  // namespace lomo
