#pragma once
#include <sys/mount.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "program.h"
#include "support/data.h"

/// What the tests of runs that survive do to a run: watch it, and make its disk slow, small or
/// read-only.
namespace lomo::test {

inline constexpr char const* kLomo = R"({"name": "lomo", "lr": 0.05})";

inline std::vector<std::string> command(Workplace const& place, std::string const& output,
                                        std::vector<std::string> const& more) {
  std::vector<std::string> all{"--config", place / "run.json", "--threads",
                               "1",        "--output",         place / output};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

inline std::size_t steps_of(Workplace const& place, std::string const& run) {
  return count_lines(slurp(place / (run + "/metrics.jsonl")), "\"event\":\"step\"");
}

/// Returns when `done()`, or when the process has ended.
template <class F>
void wait_until(Process const& process, F const& done) {
  while (!done() && !process.ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

inline void wait_for_steps(Process const& process, Workplace const& place, std::string const& run,
                           std::size_t steps) {
  wait_until(process, [&] { return steps_of(place, run) >= steps; });
}

/// The names in a run's checkpoints/ that begin like this.
inline std::vector<std::string> named(Workplace const& place, std::string const& run,
                                      std::string const& prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto const& entry :
       std::filesystem::directory_iterator(place / (run + "/checkpoints"), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

inline std::vector<std::string> checkpoints_of(Workplace const& place, std::string const& run) {
  return named(place, run, "step-");
}

inline bool saving(Workplace const& place, std::string const& run) {
  return !named(place, run, ".partial-").empty();
}

/// Every checkpoint of a run is whole, to the last byte.
inline void check_all_whole(Workplace const& judge, Workplace const& place,
                            std::string const& run) {
  for (std::string const& name : checkpoints_of(place, run)) {
    const Outcome verified =
        lomo::test::run(judge, {"verify", place / (run + "/checkpoints/" + name)});
    INFO(name << ": " << verified.out << verified.err);
    CHECK(verified.code == 0);
  }
}

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
