#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lomo/io/json.h"
#include "lomo/train/config.h"

namespace lomo {

/// A checkpoint as retention sees it.
struct Kept {
  std::int64_t step = 0;
  std::optional<double> metric;  // of the model in it; none: not evaluated at this step
};

/// What evaluations are compared by: save.best_metric; else the official mean of a task, or the
/// only metric it has. Empty where there is none.
std::string metric_name(SaveSection const& save, Json const& evaluation);
bool smaller_is_better(std::string const& metric);

/// Steps of the checkpoints that save.keep_last, keep_every and keep_best together do not keep.
/// `all` is in order of steps. The newest is always kept; keep_last 0 keeps everything.
std::vector<std::int64_t> to_discard(std::vector<Kept> const& all, SaveSection const& save,
                                     bool smaller_is_better);

/// Removes what to_discard names from a run's folder of checkpoints. What cannot be removed is
/// logged and left.
void discard_checkpoints(std::filesystem::path const& checkpoints, SaveSection const& save);

/// Most checkpoints that a run of `total` steps keeps at once, the one in writing not counted. How
/// many save.every_minutes will write is not known when all are kept: they count as one.
std::int64_t max_checkpoints(SaveSection const& save, std::int64_t total);

}  // namespace lomo
