#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/data/dataset.h"
#include "lomo/data/example.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// What encoding makes of the files of a config.
struct EncodedInputs {
  Dataset train, eval;
  std::vector<Example> examples;  // of `eval`, where they are needed
};

/// Goes up whenever the same files and settings are encoded in another way.
inline constexpr int kEncodingVersion = 1;

/// Encodes, or takes what was encoded before: data.cache says where that is kept; "auto" keeps it,
/// in the user's cache folder, for files of more than 16 MiB. `key` is what the result depends on
/// besides data files, config.data and the tokenizer's files. A cache that cannot be written is
/// warned of and not used.
EncodedInputs cached_inputs(
    TrainConfig const& config, InputNeeds needs, std::string const& key,
    std::function<EncodedInputs(DatasetWriter& train, DatasetWriter& eval)> const& encode);

}  // namespace lomo
