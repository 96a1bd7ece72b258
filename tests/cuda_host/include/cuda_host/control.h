#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// What a test decides about the emulated device, and what it can ask it afterwards.
namespace cuda_host {

/// Which of the threads of a block that could go on does so: always the first, always the last, or
/// always the one of highest priority, drawn afresh for each block: by warp, then by lane. Under
/// each of them a warp runs as far ahead as the barriers let it.
enum class Order : std::uint8_t { forward, reverse, priority };

struct Policy {
  Order order = Order::forward;
  std::uint64_t seed = 1;    // priorities of threads, and which stream goes on
  bool late_copies = true;   // cp.async copies when it is waited for; otherwise when it is issued
  bool lazy_streams = true;  // work runs when the host waits for it, in any legal order; otherwise
                             // when it is enqueued
};

/// CUDA_HOST_ORDER=forward|reverse|priority, CUDA_HOST_SEED=N, CUDA_HOST_COPIES=late|early,
/// CUDA_HOST_STREAMS=lazy|eager; what is not set is as above.
Policy policy_from_environment();

/// Waits for all work, frees all memory, streams and errors, and poses as a fresh device of compute
/// capability `architecture` (75, 80, 86, 89 or 90; 0 takes CUDA_HOST_ARCH, or 80).
void reset(Policy const& policy = policy_from_environment(), int architecture = 0);

/// The same device goes on by another policy; waits for all work first.
void follow(Policy const& policy);

/// What went wrong in the kernel or call that failed first since reset(), with file and line. Empty
/// if nothing did.
std::string const& report();

/// A kernel, a product of cuBLASLt, or a copy or fill, and the stream that it was given to: 0 is
/// the default stream, others are counted as they were created.
struct Ran {
  enum class What : std::uint8_t { kernel, product, copy };
  What what;
  int stream;
  bool operator==(Ran const&) const = default;
};
/// From here on what the device has done is added to `log`, in the order in which it was done;
/// null: nowhere.
void log_to(std::vector<Ran>* log);

}  // namespace cuda_host
