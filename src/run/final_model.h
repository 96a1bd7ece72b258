#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "lomo/backend/communicator.h"
#include "lomo/config/config.h"
#include "lomo/run/run_folder.h"
#include "retention.h"

namespace lomo {

/// Writes what save.final_model says is the final model and returns where; empty for "none". A
/// `damaged` model is the last one, aside (RunFolder::damaged_model), in place of one that an
/// earlier try left there. `last` judges the model after the last step, where it was evaluated;
/// `fill` writes it into a folder. Says which checkpoint has the best evaluation, where one has.
/// Collective, by the collectives of `host`; throws as save_folder does.
std::filesystem::path write_final_model(
    RunFolder const& folder, SaveSection const& save, std::optional<Ranked> const& last,
    bool damaged, Communicator& host,
    std::function<void(std::filesystem::path const&)> const& fill);

}  // namespace lomo
