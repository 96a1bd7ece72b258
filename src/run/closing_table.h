#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lomo/backend/ledger.h"
#include "lomo/io/json.h"

namespace lomo {

/// The last thing a run prints.
struct ClosingTable {
  Json before, after;  // metrics by name; null or empty: not evaluated
  CategoryBytes memory{};
  std::size_t peak_bytes = 0;
  std::vector<std::size_t> peaks;  // of each rank; one rank alone: not shown
  double tokens_per_second = 0;
  double peak_share = 0;  // of the measured GEMM peak; 0: not measured
  std::int64_t steps = 0, skipped = 0;
  double seconds = 0;
  std::filesystem::path model, run;  // empty model: not saved

  std::string render() const;
};

}  // namespace lomo
