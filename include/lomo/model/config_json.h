#pragma once
#include <filesystem>

#include "lomo/io/json.h"
#include "lomo/model/config.h"

namespace lomo {

/// Reads the keys of a Hugging Face LLaMA or Mistral config: config.json, or the `model.shape` of a
/// training config, which has the same ones. null counts as absent; absent keys take transformers'
/// defaults, but the five sizes of the model are required. Every key that would change the
/// computation and is not supported (another architecture, activation or rope type, biases, sliding
/// window, quantization, ...) is refused by name, and so is any key not known to be without effect.
ModelConfig model_config_from_json(JsonReader reader);

/// model_config_from_json of a file (Exit::data). When it does not name its dtype, that of the
/// safetensors beside it is taken.
ModelConfig read_model_config(std::filesystem::path const& config_json);
/// Writes one that transformers reads as LlamaForCausalLM, with torch_dtype = config.dtype. Keys of
/// `original` (another config.json, or null) that we do not model are carried over.
void write_model_config(std::filesystem::path const& config_json, ModelConfig const& config,
                        Json const& original = nullptr);

}  // namespace lomo
