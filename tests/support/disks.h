#pragma once
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

/// Disks that are slow, small or read-only.
namespace lomo::test {

/// Programs started while this lives write, flush and rename so much slower.
class SlowDisk {
 public:
  explicit SlowDisk(int microseconds) {
    setenv("LD_PRELOAD", LOMO_SLOW_DISK, 1);
    setenv("LOMO_TEST_DISK_US", std::to_string(microseconds).c_str(), 1);
    // An address sanitizer in the program wants to be first, and need not be.
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
  }
  SlowDisk(SlowDisk const&) = delete;  // restores the environment
  SlowDisk& operator=(SlowDisk const&) = delete;
  ~SlowDisk() {
    for (char const* name : {"LD_PRELOAD", "LOMO_TEST_DISK_US", "ASAN_OPTIONS"}) unsetenv(name);
  }
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
