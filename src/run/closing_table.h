#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "best_evaluation.h"
#include "lomo/backend/ledger.h"
#include "lomo/io/json.h"
#include "lomo/train/progress.h"
#include "lomo/train/trainer.h"
#include "run_clock.h"

namespace lomo {

/// The last thing a run prints.
struct ClosingTable {
  ClosingTable() = default;
  /// With what these know of the run.
  ClosingTable(Progress const& progress, Ledger const& ledger);

  std::optional<double> first_loss;  // of training; none: no step was made
  double last_loss = 0;              // smoothed
  Json before, after;                // metrics by name; null or empty: not evaluated
  std::optional<BestEvaluation::Found> best;
  std::filesystem::path best_model;  // where that model lies; empty: it was not kept
  std::int64_t steps = 0, skipped = 0;
  double epochs = 0;
  std::int64_t tokens = 0, targets = 0;
  std::int64_t resumed_after = 0;  // step from which losses, tokens and times count
  RunClock clock;
  double tokens_per_second = 0;
  double mfu = 0, hfu = 0;                 // see Progress; 0: not measured
  std::optional<RoundingReport> rounding;  // of 16-bit weights, the last one measured
  double loss_scale = 1;                   // 1: none
  CategoryBytes memory{};
  std::size_t peak_bytes = 0;
  std::vector<std::size_t> peaks;    // of each rank; one rank alone: not shown
  std::filesystem::path model, run;  // empty model: not saved

  std::string render() const;
  /// The same for metrics.jsonl, without what other lines of it say.
  nlohmann::ordered_json json() const;
};

}  // namespace lomo
