#include "cuda_host/launch.h"

#include <signal.h>

#include <map>
#include <memory>

#include "block.h"
#include "device_state.h"
#include "memory.h"
#include "sanitizer.h"
#include "streams.h"

// Where kernels begin: addresses of the NOPs that __launch_bounds__ puts before them.
extern "C" {
extern char const* const __start___patchable_function_entries[] __attribute__((weak));
extern char const* const __stop___patchable_function_entries[] __attribute__((weak));
}

namespace cuda_host {
namespace {

constexpr std::size_t kSharedWithoutAsking = 48 * 1024;

/// Threads of the kernel's __launch_bounds__, or 1024 where it has none.
unsigned bound_of(void const* kernel) {
  auto const* const entry = static_cast<char const*>(kernel);
  std::ptrdiff_t nearest = kMaxThreads + 1;
  for (auto const* p = __start___patchable_function_entries;
       p < __stop___patchable_function_entries; ++p) {
    if (*p < entry && entry - *p < nearest) nearest = entry - *p;
  }
  if (nearest > kMaxThreads) return kMaxThreads;
  constexpr char kNop = static_cast<char>(0x90);
  for (std::ptrdiff_t i = 1; i <= nearest; ++i) {
    if (entry[-i] != kNop) return kMaxThreads;  // those of another function
  }
  return static_cast<unsigned>(nearest);
}

std::map<void const*, std::size_t>& asked_for() {
  static std::map<void const*, std::size_t> bytes;
  return bytes;
}

#ifndef __SANITIZE_ADDRESS__
void on_signal(int, siginfo_t* info, void*) {
  if (streams().in_progress() && runner().running()) runner().fail_by_signal(info->si_addr);
  signal(SIGSEGV, SIG_DFL);  // not a kernel's: happens again, and ends the program
}

/// Turns a segmentation fault of a kernel into its failure.
class SignalHandler {
 public:
  SignalHandler() : stack_(std::make_unique<char[]>(kStack)) {
    stack_t stack{};
    stack.ss_sp = stack_.get();
    stack.ss_size = kStack;
    sigaltstack(&stack, &old_stack_);
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &old_);
  }
  ~SignalHandler() {
    sigaction(SIGSEGV, &old_, nullptr);
    sigaltstack(&old_stack_, nullptr);
  }
  SignalHandler(SignalHandler const&) = delete;
  SignalHandler& operator=(SignalHandler const&) = delete;

 private:
  static constexpr std::size_t kStack = 64 * 1024;
  std::unique_ptr<char[]> stack_;
  stack_t old_stack_{};
  struct sigaction old_ {};
};
#else
struct SignalHandler {};  // the address sanitizer says more
#endif

cudaError_t refuse(cudaError_t error, std::string const& why) {
  note_refusal(why);
  return note(error);
}

}  // namespace

cudaError_t launch(cudaLaunchConfig_t const& config, void const* kernel,
                   std::function<void()> thread) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(config.stream);
  if (stream == nullptr) {
    return refuse(cudaErrorInvalidResourceHandle, "launch on a stream that does not exist");
  }
  if (config.numAttrs != 0) {
    return refuse(cudaErrorNotSupported, "launch with attributes, which the emulation has not");
  }
  const dim3 b = config.blockDim;
  const dim3 g = config.gridDim;
  const std::uint64_t threads = std::uint64_t{b.x} * b.y * b.z;
  if (threads == 0 || threads > kMaxThreads || b.x > 1024 || b.y > 1024 || b.z > 64) {
    return refuse(cudaErrorInvalidConfiguration, "block of " + std::to_string(b.x) + " x " +
                                                     std::to_string(b.y) + " x " +
                                                     std::to_string(b.z) + " threads");
  }
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535) {
    return refuse(cudaErrorInvalidConfiguration, "grid of " + std::to_string(g.x) + " x " +
                                                     std::to_string(g.y) + " x " +
                                                     std::to_string(g.z) + " blocks");
  }
  if (threads > bound_of(kernel)) {
    return refuse(cudaErrorInvalidConfiguration,
                  "block of " + std::to_string(threads) + " threads for a kernel with " +
                      "__launch_bounds__(" + std::to_string(bound_of(kernel)) + ")");
  }
  const auto it = asked_for().find(kernel);
  const std::size_t maximum = it == asked_for().end() ? kSharedWithoutAsking : it->second;
  if (config.dynamicSmemBytes > maximum) {
    return refuse(cudaErrorInvalidValue, std::to_string(config.dynamicSmemBytes) +
                                             " bytes of dynamic shared memory for " +
                                             "a kernel that may have " + std::to_string(maximum) +
                                             " (cudaFuncSetAttribute allows more)");
  }
  Launch what;
  what.grid = g;
  what.block = b;
  what.dynamic_bytes = config.dynamicSmemBytes;
  what.thread = std::move(thread);
  Work work;
  work.what = Ran::What::kernel;
  work.run = [what = std::move(what)] {
    [[maybe_unused]] const SignalHandler handler;
    std::string failure = runner().run(what, policy(), architecture().max_shared);
    return failure.empty() ? check_device_memory() : failure;
  };
  streams().enqueue(*stream, std::move(work));
  return sticky();
}

void forget_shared_memory_requests() {
  asked_for().clear();
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaFuncSetAttribute(void const* kernel, cudaFuncAttribute attribute, int value) {
  if (sticky() != cudaSuccess) return sticky();
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return note(cudaErrorNotSupported);
  if (value < 0 || static_cast<std::size_t>(value) > architecture().max_shared) {
    return refuse(cudaErrorInvalidValue,
                  std::to_string(value) + " bytes of dynamic shared memory asked for, sm_" +
                      std::to_string(architecture().number) + " has " +
                      std::to_string(architecture().max_shared) + " a block");
  }
  asked_for()[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
