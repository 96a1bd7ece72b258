#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "lomo/data/dataset.h"
#include "lomo/io/json.h"
#include "lomo/model/llama.h"
#include "lomo/optim/update_rule.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// What a checkpoint holds beside weights and optimizer tensors, so that a resumed run continues
/// bit by bit where the stopped one would have gone on.
struct TrainingState {
  TrainerState trainer;
  DataPosition position;
  std::int64_t batches = 0;                            // taken so far, skipped ones included
  std::int64_t train_sequences = 0, train_tokens = 0;  // of the data; must not have changed
  Json metrics_before;  // of the evaluation before training, for the closing table; null: none
  Json config;          // the effective config
};

/// Writes a checkpoint: the Hugging Face folder, training_state.json and optimizer.safetensors
/// (only when the rule has state), under a temporary name that becomes `folder` when all is on
/// disk. Tokenizer files come from `source`.
void save_checkpoint(std::filesystem::path const& folder, Llama& model, UpdateRule& rule,
                     TrainingState const& state, std::filesystem::path const& source,
                     std::size_t shard_bytes);

/// A checkpoint folder, or the newest checkpoint of a run folder. Throws Error(Exit::data) when
/// there is none.
std::filesystem::path find_checkpoint(std::filesystem::path const& path);

/// Throws Error(Exit::data) on a state that is damaged or of another version.
TrainingState read_training_state(std::filesystem::path const& folder);

/// Fills the rule's state tensors. Throws Error(Exit::data) when names or shapes differ.
void load_optimizer(std::filesystem::path const& folder, Backend& backend, UpdateRule& rule);

}  // namespace lomo
