#include "lomo/backend/host.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "lomo/core/error.h"

namespace lomo::host {
namespace {

/// Bytes from a file that holds one number; the largest number when it holds none ("max").
std::size_t number_in(char const* path) {
  std::ifstream file(path);
  std::size_t bytes = 0;
  return file >> bytes ? bytes : std::numeric_limits<std::size_t>::max();
}

}  // namespace

int allowed_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

std::size_t available_memory() {
  std::size_t available = std::numeric_limits<std::size_t>::max();
  std::ifstream file("/proc/meminfo");
  for (std::string key, rest; file >> key; std::getline(file, rest)) {
    if (key != "MemAvailable:") continue;
    std::size_t kib = 0;
    if (file >> kib) available = kib * 1024;
    break;
  }
  const std::size_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::size_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<std::size_t>::max() && used <= limit) {
    available = std::min(available, limit - used);
  }
  if (available == std::numeric_limits<std::size_t>::max()) {
    throw Error(Exit::memory,
                "cannot tell how much memory is free; give the limit (memory.budget)");
  }
  return available;
}

}  // namespace lomo::host
