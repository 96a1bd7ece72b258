#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/model/config_json.h"
#include "lomo/model/weights.h"

namespace lomo {

/// Throws what load_weights would throw for what the headers of a folder's weights say, without
/// reading the weights.
void check_weights(std::filesystem::path const& folder, ModelConfig const& config);

/// Largest relative error a conversion made, 0 when every value was exact.
struct LoadReport {
  double largest_rounding = 0;
  std::string worst_tensor;
  std::vector<std::string> notes;  // what there is to say of the folder, one sentence each
};
/// Loads every weight of `weights`, the rows of it that lie here, from model.safetensors or the
/// shards of model.safetensors.index.json in `folder`, converting to the weights' dtype. Checks
/// names, shapes, dtypes; a missing or non-finite tensor is an error that names it, and so is one
/// that another kind of layer would have (a bias, a norm of heads). Other tensors, of any type, are
/// listed and left alone, rotary tables of old checkpoints without a word.
LoadReport load_weights(Backend& backend, DecoderWeights& weights,
                        std::filesystem::path const& folder);

/// N(0, config.init_range) for matrices and embeddings, 1 for norms, 0 for biases; keyed by (seed,
/// tensor name).
void initialise_weights(Backend& backend, DecoderWeights& weights, ModelConfig const& config,
                        std::uint64_t seed);

/// What a Hugging Face folder holds beside its weights and what every folder saved from it takes
/// over. In memory, because the folder may be changed or removed while a run goes on: a resumed run
/// starts from a checkpoint that it will discard.
struct AuxiliaryFiles {
  Json config;                               // its config.json; null: none
  std::map<std::string, std::string> files;  // tokenizer and generation files, by name
  /// Of `files` together.
  std::uint64_t bytes() const;
};
/// Throws Error(Exit::data) on a file that cannot be read.
AuxiliaryFiles read_auxiliary_files(std::filesystem::path const& folder);

/// Writes safetensors (model.safetensors, or shards of at most `shard_bytes` with an index),
/// config.json and `auxiliary_files` into the existing folder `folder`. Every file is written
/// beside its name and renamed. Ranks that hold the weights together write them together:
/// collective then, by the collectives of `host`, and an error is the same on all of them.
void save_model(Backend& backend, DecoderWeights& weights, ModelConfig const& config,
                std::filesystem::path const& folder, AuxiliaryFiles const& auxiliary_files,
                std::size_t shard_bytes, Communicator& host);

}  // namespace lomo
