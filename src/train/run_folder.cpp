#include "lomo/train/run_folder.h"

#include <unistd.h>

#include <system_error>
#include <utility>

#include "lomo/core/error.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

void make_folder(fs::path const& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(Exit::usage, "cannot make the output folder " + folder.string() + ": " +
                                 error.message() + ". Choose another with --output.");
  }
}

}  // namespace

RunFolder::RunFolder(fs::path root) : root_(std::move(root)) {}

void RunFolder::check(fs::path const& root) {
  std::error_code error;
  if (fs::exists(root, error) && !fs::is_directory(root, error)) {
    throw Error(Exit::usage,
                "the output folder " + root.string() + " is a file. Choose another with --output.");
  }
  if (fs::is_directory(root, error) && !fs::is_empty(root, error)) {
    throw Error(Exit::usage, "the output folder " + root.string() +
                                 " is not empty; a run never overwrites another. Choose a new one "
                                 "with --output, or continue it with --resume.");
  }
  make_folder(root);
  if (access(root.c_str(), W_OK) != 0) {
    throw Error(Exit::usage, "the output folder " + root.string() +
                                 " cannot be written. Choose another with --output.");
  }
}

RunFolder RunFolder::create(fs::path const& root) {
  check(root);
  RunFolder folder(root);
  make_folder(folder.root_ / "checkpoints");
  make_folder(folder.predictions());
  folder.open_metrics();
  return folder;
}

RunFolder RunFolder::reopen(fs::path const& root) {
  std::error_code error;
  if (fs::exists(root / "model", error)) {
    throw Error(Exit::usage, "the run in " + root.string() + " is finished: its model lies in " +
                                 (root / "model").string() +
                                 ". Train on from there with model.path.");
  }
  RunFolder folder(root);
  folder.open_metrics();
  return folder;
}

void RunFolder::open_metrics() {
  const fs::path file = root_ / "metrics.jsonl";
  metrics_.open(file, std::ios::app);
  if (!metrics_) {
    throw Error(Exit::usage, "cannot write " + file.string() +
                                 "; is the folder read-only? Choose another with --output.");
  }
}

fs::path RunFolder::checkpoint(std::int64_t step) const {
  return root_ / "checkpoints" / ("step-" + std::to_string(step));
}

void RunFolder::write_config(nlohmann::ordered_json const& config) const {
  const fs::path file = root_ / "config.json";
  std::ofstream out(file);
  out << config.dump(2) << '\n';
  out.flush();
  if (!out) throw Error("cannot write " + file.string() + "; is the disk full?");
}

void RunFolder::metric(nlohmann::ordered_json const& line) {
  metrics_ << line.dump() << '\n' << std::flush;
  if (!metrics_) {
    throw Error("cannot write " + (root_ / "metrics.jsonl").string() + "; is the disk full?");
  }
}

}  // namespace lomo
