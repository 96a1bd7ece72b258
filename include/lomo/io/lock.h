#pragma once
#include <filesystem>
#include <optional>

namespace lomo {

/// Holds a file locked (flock) for as long as it lives. The system drops the lock when the process
/// ends in whatever way, so a lock is never stale. Move-only.
class FileLock {
 public:
  /// Nothing when another process holds it. Makes the file; throws Error(Exit::usage) when it
  /// cannot.
  static std::optional<FileLock> try_take(std::filesystem::path const& file);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace lomo
