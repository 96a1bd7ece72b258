#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

#include "lomo/data/tokenizer.h"

namespace lomo::app {

/// --tokenizer auto|json|model, for commands that read no run's config.
void add_tokenizer_option(CLI::App& app, std::string& name);
TokenizerFile tokenizer_file(std::string const& name);

}  // namespace lomo::app
