#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace lomo {

/// A folder in which encoded data wait for the next run. An entry is a folder under its key; it
/// appears whole or not at all, and of several processes that want one the first makes it while the
/// others wait. Entries are only read once they are there.
class DataCache {
 public:
  /// The newest entries are kept up to so many bytes; one alone may be larger.
  static constexpr std::uint64_t kLargest = std::uint64_t{32} << 30;

  /// Throws Error(Exit::usage) when the folder cannot be made.
  explicit DataCache(std::filesystem::path folder, std::uint64_t largest = kLargest);

  /// $XDG_CACHE_HOME/lomo-train, or ~/.cache/lomo-train. Empty: neither variable is set.
  static std::filesystem::path default_folder();

  /// The folder of an entry. Where it is not there, `fill` makes its files in the folder that it is
  /// given, and entries used longest ago are removed to make room. What a process left unfinished
  /// is made anew. What `fill` throws is passed on, and no entry made.
  std::filesystem::path entry(std::string const& key,
                              std::function<void(std::filesystem::path const&)> const& fill);
  void remove(std::string const& key);

  struct Entry {
    std::string key;
    std::uint64_t bytes = 0;
    std::filesystem::file_time_type used;  // last
  };
  /// The entry used last first.
  std::vector<Entry> list() const;
  /// Removes all entries and what was left unfinished; how many bytes. Processes that have mapped
  /// an entry keep it.
  std::uint64_t clear();

  std::filesystem::path const& folder() const { return folder_; }

 private:
  std::filesystem::path at(std::string const& key) const { return folder_ / ("data-" + key); }
  void make_room(std::string const& newest);

  std::filesystem::path folder_;
  std::uint64_t largest_;
};

}  // namespace lomo
