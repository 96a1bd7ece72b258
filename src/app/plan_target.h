#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/plan/plan.h"

namespace lomo::app {

/// The run that a command asks questions about without starting it.
struct PlanTarget {
  std::string config;
  std::vector<std::string> overrides;
  std::int64_t tokens = 0, sequences = 0, targets = 0;  // of one batch; 0: not given
  void options(CLI::App& app);

  struct Read {
    TrainConfig run;    // resolved
    ModelConfig shape;  // of the folder where there is one, else model.shape
    /// The one given, those of the data, or the largest the config allows: of each rank its shares,
    /// or of one where all ranks have such.
    std::vector<PlannedBatches> batches;
    std::string batch_source;  // which of these
  };
  Read read(int ranks = 1) const;
};

}  // namespace lomo::app
