#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "lomo/config/config.h"
#include "lomo/io/json.h"

namespace lomo {

/// The best evaluation of a run, by save.best_metric or the task's own.
class BestEvaluation {
 public:
  struct Found {
    std::string metric;
    double value = 0;
    std::int64_t step = 0;  // after so many
  };

  explicit BestEvaluation(SaveSection const& save) : save_(save) {}
  void add(Json const& metrics, std::int64_t step);
  /// Those of a run's metrics.jsonl up to `step`, for a run that goes on.
  void add_before(std::filesystem::path const& metrics, std::int64_t step);

  /// None where there was no evaluation with that metric.
  std::optional<Found> const& found() const { return found_; }

 private:
  SaveSection save_;
  std::optional<Found> found_;
};

}  // namespace lomo
