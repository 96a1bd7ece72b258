#include "disk_space.h"

#include <algorithm>
#include <string>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/run/run_folder.h"
#include "retention.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMetricsLine = 512;                 // bytes a step
constexpr std::int64_t kUnbounded = std::int64_t{1} << 40;  // checkpoints; sums of two fit
constexpr std::uint64_t kLogs = std::uint64_t{1} << 20;

/// Checkpoints that are still to be written.
std::int64_t coming(SaveSection const& save, EvalSection const& eval, DiskNeed const& need) {
  const std::int64_t total = need.total.value_or(need.done);
  const auto due = [&](std::int64_t every) {
    return every > 0 ? total / every - need.done / every : 0;
  };
  const bool periodic = save.every_steps > 0 || save.every_minutes > 0;
  if (save.every_minutes > 0 && save.keep_last > 0) return kUnbounded;
  std::int64_t count = due(save.every_steps);
  if (save.final_model == FinalModel::best) {
    // How many evaluations are the best so far is not known, nor where epochs end.
    count += eval.every_epochs > 0 ? total - need.done : due(eval.every_steps);
  }
  const bool after_last = periodic || save.final_model == FinalModel::none;
  const bool counted = save.every_steps > 0 && total % save.every_steps == 0;
  return count + (after_last && !counted ? 1 : 0);
}

/// The folder, or as much of its path as is there: the run has not made it yet.
fs::path existing(fs::path const& folder) {
  std::error_code error;
  fs::path path = fs::absolute(folder, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

std::string text_of(double bytes) {
  return human_bytes(static_cast<std::size_t>(std::min(bytes, 1e19)));
}

}  // namespace

DiskPeak disk_peak(SaveSection const& save, EvalSection const& eval, DiskNeed const& need,
                   std::int64_t there) {
  const std::int64_t writes = coming(save, eval, need);
  const std::int64_t bound = max_checkpoints(save, need.total.value_or(need.done));
  const std::int64_t maximum = bound == 0 ? kUnbounded : bound;
  const std::int64_t kept = std::max<std::int64_t>(0, std::min(there + writes, maximum) - there);
  const std::int64_t in_writing = std::min(writes, kept + (there + writes > maximum ? 1 : 0));
  const double checkpoint = static_cast<double>(need.model + need.optimizer);
  const double model = save.final_model == FinalModel::none ? 0 : static_cast<double>(need.model);
  DiskPeak peak;
  peak.checkpoints = in_writing;
  double large = static_cast<double>(in_writing) * checkpoint;
  if (const double at_end = static_cast<double>(kept) * checkpoint + model; at_end > large) {
    peak = {kept, model > 0};
    large = at_end;
  }
  if (writes == 0 && checkpoint > large) {
    peak = {1, false};
    large = checkpoint;
  }
  const std::int64_t steps = need.total.value_or(need.done) - need.done;
  peak.others = static_cast<double>(steps) * kMetricsLine + static_cast<double>(need.predictions) +
                static_cast<double>(kLogs);
  peak.bytes = large + peak.others;
  return peak;
}

void require_disk_space(fs::path const& folder, TrainConfig const& config, DiskNeed const& need) {
  std::error_code error;
  const fs::space_info space = fs::space(existing(folder), error);
  if (error || space.capacity == 0) return;  // a file system that does not say
  const auto there = static_cast<std::int64_t>(list_checkpoints(folder / "checkpoints").size());
  const DiskPeak peak = disk_peak(config.save, config.eval, need, there);
  if (peak.bytes <= static_cast<double>(space.available)) return;
  const double checkpoint = static_cast<double>(need.model + need.optimizer);
  std::string parts;
  if (peak.checkpoints > 0) {
    parts = counted(peak.checkpoints, "checkpoint") + " of " + text_of(checkpoint) + ", ";
  }
  if (peak.model) parts += "the final model of " + text_of(static_cast<double>(need.model)) + ", ";
  parts += "metrics, log and predictions of " + text_of(peak.others);
  throw Error(Exit::usage,
              "the disk of \"" + folder.string() + "\" has " + human_bytes(space.available) +
                  " free, the run needs " + (need.total ? "" : "at least ") + text_of(peak.bytes) +
                  " at once: " + parts +
                  (peak.checkpoints > 1 ? ". Lower save.keep_last, choose" : ". Choose") +
                  " another disk with --output, or start all the same with "
                  "--ignore-disk-space.");
}

}  // namespace lomo
