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

// Headers, tokenizer, log and metrics beside the tensors.
constexpr std::uint64_t kAuxiliaryFiles = std::uint64_t{1} << 20;

}  // namespace

void require_disk_space(fs::path const& folder, SaveSection const& save, DiskNeed const& need) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) return;  // a file system that does not say
  const auto there = static_cast<std::int64_t>(list_checkpoints(folder / "checkpoints").size());
  // One more for the one in writing: the oldest goes only when the newest is on disk.
  const std::int64_t copies =
      std::max<std::int64_t>(0, max_checkpoints(save, need.total) + 1 - there);
  const std::uint64_t checkpoint = need.weights + need.optimizer + kAuxiliaryFiles;
  const std::uint64_t model = save.final_model ? need.weights + kAuxiliaryFiles : 0;
  const double sum =  // may be beyond 64 bits
      static_cast<double>(copies) * static_cast<double>(checkpoint) + static_cast<double>(model);
  if (sum <= static_cast<double>(space.available)) return;
  throw Error(
      Exit::usage,
      "the disk of " + folder.string() + " has " + human_bytes(space.available) +
          " free, the run will write " +
          human_bytes(static_cast<std::size_t>(std::min(sum, 1e19))) + ": " +
          std::to_string(copies) + " checkpoints of " + human_bytes(checkpoint) +
          " (those kept and one in writing)" +
          (save.final_model ? " and the final model of " + human_bytes(model) : "") +
          ". Lower save.keep_last, choose another disk with --output, or start all the same "
          "with --ignore-disk-space.");
}

}  // namespace lomo
