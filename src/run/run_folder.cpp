#include "lomo/run/run_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/files.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr char const* kLock = "run.lock";
constexpr char const* kProbe = ".probe";
constexpr char const* kSetAside = "set-aside";

void make_folder(fs::path const& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(Exit::usage, "cannot make the output folder " + folder.string() + ": " +
                                 error.message() + ". Choose another with --output.");
  }
}

/// Permissions say little (root, quotas, file systems mounted read-only): a byte is written.
void require_writable(fs::path const& root) {
  try {
    AtomicFile probe(root / kProbe);
    probe.write("x");
  } catch (Error const& error) {
    throw Error(Exit::usage, "the output folder " + root.string() + " cannot be written (" +
                                 error.what() + "). Choose another with --output.");
  }
}

/// A process killed while it probed leaves a folder that is still free.
bool is_free(fs::path const& folder) {
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(folder, error)) {
    if (!entry.path().filename().string().starts_with(kProbe)) return false;
  }
  return !error;
}

FileLock take_lock(fs::path const& root) {
  auto lock = FileLock::try_take(root / kLock);
  if (!lock) {
    throw Error(Exit::usage, "another process is training in " + root.string() +
                                 " (it holds run.lock). Wait for it, or choose another folder with "
                                 "--output.");
  }
  return std::move(*lock);
}

/// What saves and removals that were cut short left behind.
void remove_leftovers(fs::path const& folder) {
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".partial-") || name.starts_with(".discard-") ||
        name.starts_with(kProbe)) {
      std::error_code ignored;  // removed later, or left: it is in nobody's way
      fs::remove_all(entry.path(), ignored);
    }
  }
}

/// A line that was cut short is dropped, so that every line is JSON.
void drop_torn_line(int file) {
  const off_t size = ::lseek(file, 0, SEEK_END);
  off_t keep = size;
  std::array<char, 4096> block{};
  while (keep > 0) {
    const off_t from = std::max<off_t>(0, keep - static_cast<off_t>(block.size()));
    const ssize_t got = ::pread(file, block.data(), static_cast<std::size_t>(keep - from), from);
    if (got != keep - from) return;
    while (keep > from && block[static_cast<std::size_t>(keep - from - 1)] != '\n') --keep;
    if (keep > from) break;
  }
  if (keep < size && ::ftruncate(file, keep) != 0) {
    log::warn("metrics.jsonl ends in a line that was cut short: {}", std::strerror(errno));
  }
}

}  // namespace

RunFolder::RunFolder(fs::path root, std::optional<FileLock> lock)
    : root_(std::move(root)), lock_(std::move(lock)) {}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : root_(std::move(other.root_)),
      lock_(std::move(other.lock_)),
      metrics_(std::exchange(other.metrics_, -1)),
      losing_(other.losing_) {}

RunFolder::~RunFolder() {
  if (metrics_ >= 0) ::close(metrics_);
}

void RunFolder::check(fs::path const& root) {
  std::error_code error;
  if (fs::exists(root, error) && !fs::is_directory(root, error)) {
    throw Error(Exit::usage,
                "the output folder " + root.string() + " is a file. Choose another with --output.");
  }
  if (fs::is_directory(root, error) && !is_free(root)) {
    throw Error(Exit::usage, "the output folder " + root.string() +
                                 " is not empty; a run never overwrites another. Choose a new one "
                                 "with --output, or continue it with --resume.");
  }
  make_folder(root);
  require_writable(root);
}

RunFolder RunFolder::create(fs::path const& root) {
  check(root);
  RunFolder folder(root, take_lock(root));
  // Of two that come at the same time one has the lock; the other may have had it before us.
  if (fs::exists(folder.checkpoints())) check(root);
  make_folder(folder.checkpoints());
  make_folder(folder.predictions());
  folder.open_metrics();
  return folder;
}

RunFolder RunFolder::reopen(fs::path const& root) {
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    throw Error(Exit::usage, root.string() + " is not a run folder");
  }
  require_writable(root);
  RunFolder folder(root, take_lock(root));
  if (fs::exists(folder.model(), error)) {
    throw Error(Exit::usage, "the run in " + root.string() + " is finished: its model lies in " +
                                 folder.model().string() +
                                 ". Train on from there with model.path.");
  }
  make_folder(folder.checkpoints());
  make_folder(folder.predictions());
  remove_leftovers(root);
  remove_leftovers(folder.checkpoints());
  folder.open_metrics();
  return folder;
}

RunFolder RunFolder::follow(fs::path const& root) {
  return {root, std::nullopt};
}

bool RunFolder::is_run(fs::path const& root) {
  std::error_code error;
  return fs::exists(root / kLock, error) || fs::exists(root / "metrics.jsonl", error);
}

void RunFolder::open_metrics() {
  const fs::path file = root_ / "metrics.jsonl";
  metrics_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (metrics_ < 0) {
    throw Error(Exit::usage, "cannot write " + file.string() + ": " + std::strerror(errno) +
                                 ". Choose another folder with --output.");
  }
  drop_torn_line(metrics_);
}

fs::path RunFolder::checkpoint(std::int64_t step) const {
  return checkpoints() / ("step-" + std::to_string(step));
}

std::vector<fs::path> RunFolder::set_aside_after(std::int64_t step) const {
  std::vector<fs::path> moved;
  for (NamedCheckpoint const& newer : list_checkpoints(checkpoints())) {
    if (newer.step <= step) continue;
    const fs::path folder = checkpoints() / kSetAside;
    make_folder(folder);
    fs::path to = folder / newer.path.filename();
    for (int again = 2; fs::exists(to); ++again) {
      to = folder / (newer.path.filename().string() + "." + std::to_string(again));
    }
    fs::rename(newer.path, to);
    moved.push_back(to);
  }
  if (!moved.empty()) sync_folder(checkpoints());
  return moved;
}

void RunFolder::write_config(nlohmann::ordered_json const& config) const {
  write_file(root_ / "config.json", config.dump(2) + "\n");
}

void RunFolder::metric(nlohmann::ordered_json const& line) {
  if (!lock_) return;
  const std::string text = line.dump() + "\n";
  const off_t before = ::lseek(metrics_, 0, SEEK_END);
  const ssize_t put = ::write(metrics_, text.data(), text.size());
  if (put == static_cast<ssize_t>(text.size())) {
    losing_ = false;
    return;
  }
  const int reason = put < 0 ? errno : ENOSPC;
  if (put > 0 && ::ftruncate(metrics_, before) != 0) return;  // half a line stays
  if (!losing_) {
    log::error("cannot write {}: {}; its lines are lost until this works again",
               (root_ / "metrics.jsonl").string(), std::strerror(reason));
  }
  losing_ = true;
}

std::vector<NamedCheckpoint> list_checkpoints(fs::path const& checkpoints) {
  constexpr std::string_view kPrefix = "step-";
  std::vector<NamedCheckpoint> all;
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(checkpoints, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    std::int64_t step = -1;
    char const* const end = name.data() + name.size();
    const auto result = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (result.ec == std::errc() && result.ptr == end && step >= 0) {
      all.push_back({step, entry.path()});
    }
  }
  std::sort(all.begin(), all.end(),
            [](NamedCheckpoint const& a, NamedCheckpoint const& b) { return a.step < b.step; });
  return all;
}

}  // namespace lomo
