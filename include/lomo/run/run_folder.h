#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lomo/io/lock.h"

namespace lomo {

/// The folder of one run:
///   config.json       the effective config
///   metrics.jsonl     one line a step and an evaluation, written line by line
///   train.log         the log
///   run.lock          locked while a process trains here
///   checkpoints/step-N     Hugging Face folders with the training state beside the weights
///   checkpoints/set-aside/ those a resumed run did not start from though they were newer
///   predictions/      answers by evaluation, in SuperGLUE's submission format
///   model/            the final model, a Hugging Face folder
///   model-damaged/    in its place, that of a run whose last steps were not finite
class RunFolder {
 public:
  /// Throws Error(Exit::usage) when the folder holds anything already or cannot be written: to be
  /// asked before any work is done. Leaves at most an empty folder.
  static void check(std::filesystem::path const& root);
  /// Makes the folder, after `check`.
  static RunFolder create(std::filesystem::path const& root);
  /// Opens the folder of a run to be continued and removes what an unfinished save left in it.
  /// Throws Error(Exit::usage) when the run is finished, when another process trains here, or when
  /// the folder cannot be written.
  static RunFolder reopen(std::filesystem::path const& root);
  /// The folder of a run whose rank 0 made or opened it, as its other ranks know it: they lock
  /// nothing and write no metrics.
  static RunFolder follow(std::filesystem::path const& root);
  /// Whether a run was begun in this folder.
  static bool is_run(std::filesystem::path const& root);
  RunFolder(RunFolder&& other) noexcept;
  ~RunFolder();

  std::filesystem::path const& root() const { return root_; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  std::filesystem::path log() const { return root_ / "train.log"; }
  std::filesystem::path model() const { return root_ / "model"; }
  std::filesystem::path damaged_model() const { return root_ / "model-damaged"; }
  std::filesystem::path predictions() const { return root_ / "predictions"; }
  std::filesystem::path checkpoints() const { return root_ / "checkpoints"; }
  std::filesystem::path checkpoint(std::int64_t step) const;

  /// Moves checkpoints after `step` to checkpoints/set-aside: what follows would be mixed up with
  /// them. Returns their new places.
  std::vector<std::filesystem::path> set_aside_after(std::int64_t step) const;

  void write_config(nlohmann::ordered_json const& config) const;
  /// Appends a line to metrics.jsonl. Training outlives a full disk: a line that cannot be written
  /// is lost, which is logged once until writing works again.
  void metric(nlohmann::ordered_json const& line);

 private:
  RunFolder(std::filesystem::path root, std::optional<FileLock> lock);
  void open_metrics();

  std::filesystem::path root_;
  std::optional<FileLock> lock_;
  int metrics_ = -1;
  bool losing_ = false;
};

/// A checkpoint of a run by its name, step-N; whether it is whole is another question.
struct NamedCheckpoint {
  std::int64_t step = 0;
  std::filesystem::path path;
};
/// Those of `checkpoints` (a run's folder of them), oldest first.
std::vector<NamedCheckpoint> list_checkpoints(std::filesystem::path const& checkpoints);

}  // namespace lomo
