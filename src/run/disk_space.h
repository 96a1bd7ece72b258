#pragma once
#include <cstdint>
#include <filesystem>

#include "lomo/train/config.h"

namespace lomo {

/// What a run will write.
struct DiskNeed {
  std::uint64_t weights = 0;    // bytes of a model
  std::uint64_t optimizer = 0;  // bytes of its state
  std::int64_t total = 0;       // steps of the run
};

/// Throws Error(Exit::usage) with the sum when the disk of `folder` cannot hold the checkpoints
/// that are kept, the one in writing and the final model, on top of what lies there now.
void require_disk_space(std::filesystem::path const& folder, SaveSection const& save,
                        DiskNeed const& need);

}  // namespace lomo
