#pragma once
#include <string>
#include <vector>

#include "lomo/config/config.h"

namespace lomo {

/// How a resumed run's config differs from its checkpoint's: "optimizer.lr: 0.03 -> 0.01". Throws
/// Error(Exit::usage) with the list when a key changed that would make it another run.
std::vector<std::string> config_changes(TrainConfig const& before, TrainConfig const& now);

}  // namespace lomo
