#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/io/json.h"

namespace lomo {

/// A checkpoint as retention sees it.
struct Kept {
  std::int64_t step = 0;
  std::optional<double> metric;  // of the model in it; none: not evaluated at this step
};

/// What evaluations are compared by: save.best_metric; else the official mean of a task, the loss,
/// or the only metric there is. Empty where there is none.
std::string metric_name(SaveSection const& save, Json const& evaluation);

/// Steps of the checkpoints that save.keep_last, keep_every and keep_best together do not keep.
/// `all` is in order of steps. The newest is always kept; keep_last 0 keeps everything.
std::vector<std::int64_t> to_discard(std::vector<Kept> const& all, SaveSection const& save,
                                     bool smaller_is_better);

/// A checkpoint whose model was evaluated.
struct Ranked {
  std::int64_t step = 0;
  std::string metric;
  double value = 0;
};
/// What an evaluation says by save.best_metric (else by that of metric_name()); nothing
/// when it does not say.
std::optional<Ranked> ranked(SaveSection const& save, Json const& evaluation, std::int64_t step);
/// Whether `a` is better than `b`, by the same metric.
bool is_better(Ranked const& a, Ranked const& b);
/// The best in a run's folder of checkpoints, of equals the earlier: it needed fewer steps.
std::optional<Ranked> best_checkpoint(std::filesystem::path const& checkpoints,
                                      SaveSection const& save);

/// Removes what to_discard names from a run's folder of checkpoints. What cannot be removed is
/// logged and left.
void discard_checkpoints(std::filesystem::path const& checkpoints, SaveSection const& save);

/// Most checkpoints that save.keep_last, keep_every and keep_best let a run of `total` steps keep
/// at once, the one in writing not counted; 0: no bound, all are kept.
std::int64_t max_checkpoints(SaveSection const& save, std::int64_t total);

}  // namespace lomo
