#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace lomo {

/// The folder of one run:
///   config.json       the effective config
///   metrics.jsonl     one line a step and an evaluation, flushed line by line
///   train.log         the log
///   checkpoints/step-N  Hugging Face folders with the training state beside the weights
///   predictions/      answers by evaluation, in SuperGLUE's submission format
///   model/            the final model, a Hugging Face folder
class RunFolder {
 public:
  /// Throws Error(Exit::usage) when the folder holds anything already or cannot be written: to be
  /// asked before any work is done. Leaves at most an empty folder.
  static void check(std::filesystem::path const& root);
  /// Makes the folder, after `check`.
  static RunFolder create(std::filesystem::path const& root);
  /// Opens the folder of a run to be continued. Throws Error(Exit::usage) when it is finished.
  static RunFolder reopen(std::filesystem::path const& root);

  std::filesystem::path const& root() const { return root_; }
  std::filesystem::path log() const { return root_ / "train.log"; }
  std::filesystem::path model() const { return root_ / "model"; }
  std::filesystem::path predictions() const { return root_ / "predictions"; }
  std::filesystem::path checkpoint(std::int64_t step) const;

  void write_config(nlohmann::ordered_json const& config) const;
  /// Appends a line to metrics.jsonl. Throws Error(Exit::failure) when the disk is full.
  void metric(nlohmann::ordered_json const& line);

 private:
  explicit RunFolder(std::filesystem::path root);
  void open_metrics();

  std::filesystem::path root_;
  std::ofstream metrics_;
};

}  // namespace lomo
