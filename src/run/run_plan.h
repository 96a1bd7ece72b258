#pragma once
#include <cstddef>

#include "prepared_run.h"

namespace lomo {

/// Dry-runs the run from where it stands, resolves what depends on memory (given.config.clip), and
/// says what was planned. Returns the bytes that its engine must reserve, so that a run that has
/// started does not run out of engine memory. Throws Error(Exit::memory) where they are not free,
/// unless setting.override_memory. Collective.
std::size_t plan_run(PreparedRun& given, RunEnvironment const& setting);

}  // namespace lomo
