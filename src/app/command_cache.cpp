#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/data/data_cache.h"

namespace lomo::app {

namespace {

/// "3 days ago".
std::string ago(std::filesystem::file_time_type time) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(
                           std::filesystem::file_time_type::clock::now() - time)
                           .count();
  if (minutes < 60) return counted(minutes, "minute") + " ago";
  if (minutes < 60 * 48) return counted(minutes / 60, "hour") + " ago";
  return counted(minutes / (60 * 24), "day") + " ago";
}

}  // namespace

void CacheCommand::options(CLI::App& app) {
  app.add_option("--folder", folder, "a folder of data.cache; default: the user's cache folder");
  auto* const list_flag = app.add_flag("--list", list, "show what is kept, the default");
  app.add_flag("--clear", clear, "remove all of it")->excludes(list_flag);
}

int CacheCommand::run() const {
  const std::filesystem::path place =
      folder.empty() ? DataCache::default_folder() : std::filesystem::path(folder);
  if (place.empty()) {
    throw Error(Exit::usage, "neither XDG_CACHE_HOME nor HOME is set; name the folder (--folder)");
  }
  if (!std::filesystem::is_directory(place)) {
    if (!folder.empty()) throw Error(Exit::usage, "--folder " + folder + ": no such folder");
    console::print(place.string() + ": no encoded data\n");
    return static_cast<int>(Exit::done);
  }
  DataCache cache(place);
  if (clear) {
    console::print(place.string() + ": " + human_bytes(cache.clear()) + " removed\n");
    return static_cast<int>(Exit::done);
  }
  std::uint64_t bytes = 0;
  std::string text;
  for (DataCache::Entry const& entry : cache.list()) {
    bytes += entry.bytes;
    text += entry.key + "  " + human_bytes(entry.bytes) + ", used " + ago(entry.used) + "\n";
  }
  console::print(text + place.string() + ": " + human_bytes(bytes) + " of encoded data\n");
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
