#pragma once
#include <spdlog/spdlog.h>

#include <filesystem>
#include <string_view>

namespace lomo::log {

/// Messages go through spdlog's format functions: lomo::log::info("{} rows", n).
using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

/// Console on stderr: plain lines, warnings and errors marked. Level is one of trace, debug, info,
/// warn, error. `who` stands before each line, "rank 3: ". Called once by the program; libraries
/// only emit.
void start(std::string_view level, std::string_view who = "");
/// From here on everything also goes to `file`, with time stamps.
void also_to(std::filesystem::path const& file);
/// A line for that file alone, at level info: for what a terminal shows in other ways.
void to_file(std::string_view line);

}  // namespace lomo::log
