#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// What watched kernels do to memory. Kernels that lomo_cuda_on_host(target WATCHED) compiled
/// report every access; a race in shared memory ends the launch as any other mistake does, and the
/// traffic of each instruction is counted as hardware would serve it.
namespace cuda_host {

enum class Space : std::uint8_t { global, shared };

/// One load or store of a kernel, over all its executions by a warp since reset().
struct Traffic {
  Space space = Space::global;
  bool store = false;
  int bytes = 0;              // a lane
  std::string where;          // file:line, the innermost inlined function first
  std::uint64_t warps = 0;    // executions
  std::uint64_t touched = 0;  // global: sectors of 32 bytes; shared: passes over the 32 banks
  std::uint64_t needed = 0;   // as many as the distinct bytes fill, had they lain side by side
  double factor() const { return static_cast<double>(touched) / static_cast<double>(needed); }
};

/// All that was counted since reset(), by place. Empty where no kernel is watched.
std::vector<Traffic> traffic();

}  // namespace cuda_host
