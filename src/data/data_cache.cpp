#include "lomo/data/data_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/io/lock.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kEntry = "data-";
constexpr std::string_view kPartial = ".partial-";
constexpr auto kPoll = std::chrono::milliseconds(50);

std::uint64_t bytes_in(fs::path const& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (auto const& file : fs::recursive_directory_iterator(folder, error)) {
    if (file.is_regular_file(error)) bytes += file.file_size(error);
  }
  return bytes;
}

}  // namespace

DataCache::DataCache(fs::path folder, std::uint64_t largest)
    : folder_(std::move(folder)), largest_(largest) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) {
    throw Error(Exit::usage, "the cache folder " + folder_.string() + ": " + error.message());
  }
}

fs::path DataCache::default_folder() {
  for (auto const& [variable, below] : {std::pair{"XDG_CACHE_HOME", ""}, {"HOME", ".cache"}}) {
    char const* const value = std::getenv(variable);
    if (value != nullptr && *value != '\0') return fs::path(value) / below / "lomo-train";
  }
  return {};
}

fs::path DataCache::entry(std::string const& key,
                          std::function<void(fs::path const&)> const& fill) {
  const fs::path place = at(key);
  std::error_code error;
  std::optional<Activity> waiting;
  while (true) {
    if (fs::exists(place, error)) {
      fs::last_write_time(place, fs::file_time_type::clock::now(), error);
      return place;
    }
    const auto lock = FileLock::try_take(folder_ / (key + ".lock"));
    if (!lock) {
      if (!waiting) waiting.emplace("waiting for a process that encodes the same data");
      waiting->advance();
      std::this_thread::sleep_for(kPoll);
      continue;
    }
    if (fs::exists(place, error)) continue;  // made since
    const fs::path partial = folder_ / (std::string(kPartial) + key);
    fs::remove_all(partial, error);
    fs::create_directories(partial);
    try {
      fill(partial);
    } catch (...) {
      fs::remove_all(partial, error);
      throw;
    }
    fs::rename(partial, place);
    sync_folder(folder_);
    make_room(key);
  }
}

void DataCache::remove(std::string const& key) {
  std::error_code error;
  fs::remove_all(at(key), error);
}

std::vector<DataCache::Entry> DataCache::list() const {
  std::vector<Entry> entries;
  std::error_code error;
  for (auto const& found : fs::directory_iterator(folder_, error)) {
    const std::string name = found.path().filename().string();
    if (!name.starts_with(kEntry)) continue;
    entries.push_back({name.substr(kEntry.size()), bytes_in(found.path()),
                       fs::last_write_time(found.path(), error)});
  }
  std::ranges::sort(entries, [](Entry const& a, Entry const& b) { return a.used > b.used; });
  return entries;
}

void DataCache::make_room(std::string const& newest) {
  std::uint64_t bytes = 0;
  for (Entry const& entry : list()) {
    bytes += entry.bytes;
    if (bytes > largest_ && entry.key != newest) remove(entry.key);
  }
}

std::uint64_t DataCache::clear() {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (Entry const& entry : list()) {
    bytes += entry.bytes;
    remove(entry.key);
  }
  for (auto const& found : fs::directory_iterator(folder_, error)) {
    const std::string name = found.path().filename().string();
    if (!name.starts_with(kPartial)) continue;
    // Held while an entry is made.
    const std::string key = name.substr(kPartial.size());
    if (const auto lock = FileLock::try_take(folder_ / (key + ".lock"))) {
      bytes += bytes_in(found.path());
      fs::remove_all(found.path(), error);
    }
  }
  return bytes;
}

}  // namespace lomo
