#pragma once
#include <filesystem>
#include <functional>

#include "lomo/backend/communicator.h"

namespace lomo {

/// Makes `folder` appear whole or not at all: `fill` writes into a folder beside it, whose weights
/// are then looked at, whose manifest is written last, and which is renamed when all of it is on
/// disk. Ranks do this together, by the collectives of `host`: `fill` is then called on all of
/// them, each looks over its share of the files, and an error is the same on all. On an error what
/// was written is removed, so that a full disk gets its space back. Throws Error(Exit::diverged)
/// when a weight is not finite: such a save must not replace a good one.
void save_folder(std::filesystem::path const& folder, Communicator& host,
                 std::function<void(std::filesystem::path const&)> const& fill);

}  // namespace lomo
