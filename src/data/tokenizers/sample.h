#pragma once
#include <optional>
#include <string>

#include "model.h"

namespace lomo::tokenizers {

/// The first text of a built-in sample (words, numbers, code, several scripts, runs of white space)
/// for which two tokenizers give different ids: the text in quotes and both lists of ids.
std::optional<std::string> first_difference(Model const& one, Model const& other);

}  // namespace lomo::tokenizers
