#pragma once
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/environment.h"

/// Disks that are slow, small or read-only.
namespace lomo::test {

/// With these variables a program writes, flushes and renames so much slower.
inline Variables slow_disk(int microseconds) {
  // An address sanitizer in the program wants to be first, and need not be.
  return {{"LD_PRELOAD", LOMO_SLOW_DISK},
          {"LOMO_TEST_DISK_US", std::to_string(microseconds)},
          {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
}

/// Programs started while this lives do.
class SlowDisk : Environment {
 public:
  explicit SlowDisk(int microseconds) : Environment(slow_disk(microseconds)) {}
};

/// A file system of its own in memory, where this process may mount one.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path const& folder, std::string const& size) : folder_(folder) {
    std::filesystem::create_directories(folder);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  SmallDisk(SmallDisk const&) = delete;  // owns the mount
  SmallDisk& operator=(SmallDisk const&) = delete;
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  bool make_read_only() const {
    return mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }
  /// Writes a file until nothing fits any more.
  void fill(std::string const& name) const {
    std::ofstream ballast(folder_ / name, std::ios::binary | std::ios::app);
    const std::string block(4096, 'x');
    while (ballast.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }

 private:
  std::filesystem::path folder_;
  bool mounted_ = false;
};

}  // namespace lomo::test
