#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

#include "lomo/config/config.h"

namespace lomo {

/// What a run writes, as its config asks for it.
struct DiskNeed {
  std::uint64_t model = 0;        // bytes of a model folder: weights, tokenizer, headers
  std::uint64_t optimizer = 0;    // bytes that a checkpoint holds more
  std::uint64_t predictions = 0;  // bytes of all that evaluations write
  /// Steps of the run; none before the data are read that decide them.
  std::optional<std::int64_t> total;
  std::int64_t done = 0;  // of them, when it is resumed
};

/// The most a run will have on its disk at one moment, beyond what lies there when it starts.
struct DiskPeak {
  std::int64_t checkpoints = 0;  // new ones, the one in writing with them
  bool model = false;            // whether the final model is written beside them
  double others = 0;             // bytes of metrics, log and predictions
  double bytes = 0;              // of all; may be beyond 64 bits
};

/// `there`: checkpoints that lie there already. Counted are those that save.every_steps will write,
/// or, by the clock, as many as are kept (all of them: one); the one after the last step where one
/// is written; with save.final_model "best" those of the best evaluations; one more in writing,
/// since the oldest goes only when the newest is on disk; and the final model. A run without any
/// checkpoint writes one when it is stopped, and then no model: the larger of the two counts.
/// Without a total it is what any run of this config needs, however short it is.
DiskPeak disk_peak(SaveSection const& save, EvalSection const& eval, DiskNeed const& need,
                   std::int64_t there);

/// Throws Error(Exit::usage) with the sum when the disk of `folder`, a run's own, cannot hold that.
void require_disk_space(std::filesystem::path const& folder, TrainConfig const& config,
                        DiskNeed const& need);

}  // namespace lomo
