#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "lomo/io/json.h"
#include "lomo/model/config.h"

namespace lomo {

/// Reads the keys of a Hugging Face config of a known family (src/model/families): config.json, or
/// the `model.shape` of a training config, which has the same ones. null counts as absent; absent
/// keys take transformers' defaults, but the five sizes of the model are required. Every key that
/// would change the computation and is not supported (another architecture, activation or rope
/// type, quantization, ...) is refused by name. Keys that nobody knows are listed in the result.
ModelConfig model_config_from_json(JsonReader reader);

/// model_config_from_json of a file (Exit::data). When it does not name its dtype, that of the
/// safetensors beside it is taken.
ModelConfig read_model_config(std::filesystem::path const& config_json);
/// What to say of keys that nobody knows: at most one sentence.
std::vector<std::string> unknown_key_warnings(ModelConfig const& config, std::string const& where);
/// Writes one that transformers reads as the same model, stored as config.dtype. `original` is the
/// config.json it was read from; a LLaMA may have none (null), and has its keys in the spelling
/// that all versions of transformers read. Keys that we do not model are carried over.
void write_model_config(std::filesystem::path const& config_json, ModelConfig const& config,
                        Json const& original = nullptr);

}  // namespace lomo
