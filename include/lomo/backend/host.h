#pragma once
#include <cstddef>

/// The machine this process runs on.
namespace lomo::host {

/// CPUs of the affinity mask, not of the machine: launchers bind ranks to some of them.
int allowed_threads();
/// What the machine has free now, or what the container still may take when that is less. Throws
/// Error(Exit::memory) when neither can be told.
std::size_t available_memory();

}  // namespace lomo::host
