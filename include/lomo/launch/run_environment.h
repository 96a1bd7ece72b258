#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "lomo/launch/process.h"
#include "lomo/run/run.h"

namespace lomo::launch {

/// Folders of shipped configs: of the installed program, then of the source tree it was built from.
std::vector<std::filesystem::path> shipped_configs();
/// The shipped wording of the tasks; empty when there is none.
std::filesystem::path shipped_prompts();

/// The engine that --device and --threads ask for; see Engines.
std::unique_ptr<Backend> make_engine(Process const& process, std::size_t memory);

/// The bytes that an option says, as in 24GiB. Throws Error(Exit::usage).
std::size_t bytes_option(std::string const& option, std::string const& text);

/// What runs need, for this process.
RunEnvironment run_environment(Process const& process);

}  // namespace lomo::launch
