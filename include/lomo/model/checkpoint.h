#pragma once
#include <cstddef>
#include <filesystem>
#include <string>

#include "lomo/model/config_json.h"
#include "lomo/model/weights.h"

namespace lomo {

/// Largest relative error a conversion made, 0 when every value was exact.
struct LoadReport {
  double largest_rounding = 0;
  std::string worst_tensor;
};
/// Loads every weight of `weights` from model.safetensors or the shards of
/// model.safetensors.index.json in `folder`, converting to the weights' dtype. Checks names,
/// shapes, dtypes; a missing, surplus or non-finite tensor is an error that names it. Surplus
/// rotary tables ("rotary_emb.inv_freq") of old checkpoints are ignored.
LoadReport load_weights(Backend& backend, LlamaWeights& weights,
                        std::filesystem::path const& folder);

/// N(0, config.init_range) for matrices and embeddings, 1 for norms; keyed by (seed, tensor name).
void initialise_weights(Backend& backend, LlamaWeights& weights, ModelConfig const& config,
                        std::uint64_t seed);

/// Writes safetensors (model.safetensors, or shards of at most `shard_bytes` with an index),
/// config.json and, when `source` is a Hugging Face folder, copies of its tokenizer and generation
/// files, into the existing folder `folder`. Every file is written beside its name and renamed.
void save_model(Backend& backend, LlamaWeights& weights, ModelConfig const& config,
                std::filesystem::path const& folder, std::filesystem::path const& source,
                std::size_t shard_bytes);

}  // namespace lomo
