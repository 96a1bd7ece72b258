#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/plan/plan.h"

namespace lomo {

/// One way to put a batch through a model, for a table of what each part of the method saves.
struct AblationCase {
  std::string method;          // "AdamW", ..., "LOMO, by tile"; "inference": forward alone
  bool trains = true;          // false: forward alone
  bool keeps_factors = false;  // of every block, for a gradient check from one backward
  TrainConfig run;             // resolved
};

/// What one took.
struct AblationRow {
  AblationCase what;
  std::size_t peak = 0;          // most engine memory at one moment
  CategoryBytes at_peak{};       // what it was
  std::size_t gradients = 0;     // the most that gradients ever took
  double flops = 0;              // of a step
  std::size_t slab = 0;          // bytes the engine must reserve
  double tokens_per_second = 0;  // 0: not run
};

/// AdamW, SGD, AdaLomo, LOMO with whole gradient tensors and LOMO by tiles, each with and without
/// recomputation, logits kept and made by blocks; LOMO with one backward; and inference. All else
/// is as in `config` (resolved), but nothing keeps factors unless it says so.
std::vector<AblationCase> ablation_cases(TrainConfig const& config, ModelConfig const& shape);

/// Puts `batch` through on an engine that computes nothing.
AblationRow plan_case(AblationCase const& what, ModelConfig const& shape, Batch const& batch,
                      MakeEngine const& make_dry);

/// Puts it through on `engine`, `steps` times after a first one, with random weights: `row.peak`
/// and what goes with it are read from the engine's ledger, tokens_per_second is of the median
/// step. Blocks.
AblationRow measure_case(AblationRow row, ModelConfig const& shape, Batch const& batch,
                         Engine engine, int steps);

/// The table of `lomo-train ablate`.
struct AblationReport {
  std::string config;  // as named by the user
  ModelConfig shape;
  DType dtype = DType::f32;
  BatchCounts batch;
  std::size_t memory = 0;  // more than this was planned only
  std::vector<AblationRow> rows;

  std::string text() const;
  nlohmann::ordered_json json() const;
};

}  // namespace lomo
