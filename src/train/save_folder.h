#pragma once
#include <filesystem>
#include <functional>

namespace lomo {

/// Makes `folder` appear whole or not at all: `fill` writes into a folder beside it, whose weights
/// are then looked at, whose manifest is written last, and which is renamed when all of it is on
/// disk. On an error what was written is removed, so that a full disk gets its space back. Throws
/// Error(Exit::diverged) when a weight is not finite: such a save must not replace a good one.
void save_folder(std::filesystem::path const& folder,
                 std::function<void(std::filesystem::path const&)> const& fill);

}  // namespace lomo
