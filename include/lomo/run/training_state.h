#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lomo/data/dataset.h"
#include "lomo/io/json.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/decoder.h"
#include "lomo/optim/update_rule.h"
#include "lomo/run/run_outcome.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// What a checkpoint holds beside weights and optimizer tensors, so that a resumed run continues
/// bit by bit where the stopped one would have gone on.
struct TrainingState {
  TrainerState trainer;
  DataPosition position;
  std::int64_t batches = 0;  // taken so far, skipped ones included
  RunRecord record;
  // Of the training data, which must not have changed: its size, and a hash of every id and target.
  std::int64_t train_sequences = 0, train_tokens = 0;
  std::string train_hash;
  Json evaluation;      // metrics of the model as it is saved; null: not evaluated at this step
  Json metrics_before;  // of the evaluation before training, for the closing table; null: none
  Json config;          // the effective config
};

/// Writes a checkpoint: the Hugging Face folder, training_state.json, optimizer.safetensors (only
/// when the rule has state) and, last, manifest.json, under a temporary name that becomes `folder`
/// when all is on disk. Throws Error(Exit::failure) when it
/// cannot be written (disk full), having removed the part that was, and Error(Exit::diverged) when
/// a value is not finite. Ranks write together, by the collectives of `host`, and fail together.
void save_checkpoint(std::filesystem::path const& folder, Decoder& model, UpdateRule& rule,
                     TrainingState const& state, AuxiliaryFiles const& auxiliary_files,
                     std::size_t shard_bytes, Communicator& host);

/// What is wrong with a checkpoint, one sentence each: its manifest, files that differ from it, a
/// training state that this version does not read. Empty: whole. Reads every byte.
std::vector<std::string> check_checkpoint(std::filesystem::path const& folder);

/// The newest whole checkpoint of a run folder; damaged newer ones are logged. Nothing when the run
/// has none; throws Error(Exit::data) when all of them are damaged.
std::optional<std::filesystem::path> newest_checkpoint(std::filesystem::path const& run);

/// A checkpoint folder, which must be whole, or the newest whole one of a run folder. Throws
/// Error(Exit::data) when there is none.
std::filesystem::path find_checkpoint(std::filesystem::path const& path);

/// Copies the files of a checkpoint that make a model folder into the existing folder `to`: all but
/// the training state, the optimizer and the manifest. Throws Error when one cannot be read or
/// written.
void copy_model(std::filesystem::path const& checkpoint, std::filesystem::path const& to);

/// Throws Error(Exit::data) on a state that is damaged or of another version.
TrainingState read_training_state(std::filesystem::path const& folder);

/// Fills the rule's state tensors, the rows of them that lie here. Throws Error(Exit::data) when
/// names or shapes differ.
void load_optimizer(std::filesystem::path const& folder, Backend& backend, UpdateRule& rule);

}  // namespace lomo
