#pragma once
#include <array>
#include <bitset>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "cuda_host/control.h"
#include "cuda_host/site.h"
#include "shared_memory.h"

namespace cuda_host {

inline constexpr int kMaxThreads = 1024;
inline constexpr int kLanes = 32;

/// "file.cu:12"
std::string to_string(Site site);

/// What a launch runs, checked and with its sizes known.
struct Launch {
  dim3 grid, block;
  std::size_t dynamic_bytes = 0;
  std::function<void()> thread;
};

/// A copy by cp.async on its way; `group` counts the groups that were closed before it.
struct Copy {
  void* to;
  void const* from;  // null: zeros
  int group;
  void const* at;  // return address
};

/// One CUDA thread: a fiber that runs the kernel and stops where it has to wait.
struct Thread {
  uint3 index{};
  int number = 0;  // in the block
  int rank = 0;    // the waiting thread of lowest rank goes on first
  bool exited = false;
  char const* waits_for = nullptr;  // null: could go on
  Site site;
  unsigned mask = 0;
  std::vector<Copy> copies;
  int groups = 0;
  boost::context::detail::fcontext_t context = nullptr;
  void* stack = nullptr;
  void* fake_stack = nullptr;  // the address sanitizer's

  int lane() const { return number % kLanes; }
};

/// What a lane brings to a warp operation. It lives on the lane's stack, which keeps until all
/// came.
struct Part {
  void const* in = nullptr;
  void* out = nullptr;
  std::size_t bytes = 0;
  int source = 0;
  Site site;
};
/// Does the work of all lanes of `mask`; what it returns, if anything, is a complaint.
using Complete = std::string (*)(Part* const* parts, unsigned mask);
/// That of __syncwarp: alone among warp operations it puts accesses to memory in order.
std::string order_memory(Part* const* parts, unsigned mask);

/// Lanes of a warp that meet at one line.
struct Meeting {
  unsigned mask = 0;
  unsigned arrived = 0;
  Complete complete = nullptr;
  Site site;
  std::array<Part*, kLanes> parts{};
};

/// Runs the blocks of one launch after another, the threads of a block as fibers on the caller's
/// thread.
class BlockRunner {
 public:
  BlockRunner();
  ~BlockRunner();
  BlockRunner(BlockRunner const&) = delete;
  BlockRunner& operator=(BlockRunner const&) = delete;

  /// Empty, or what went wrong.
  std::string run(Launch const& launch, Policy const& policy, std::size_t max_shared_bytes);

  Thread& current() { return *current_; }
  Launch const& launch() const { return *launch_; }
  uint3 block_index() const { return block_index_; }
  SharedMemory& shared() { return shared_; }
  bool running() const { return current_ != nullptr; }
  bool late_copies() const { return policy_.late_copies; }

  int barrier(int predicate, Site site);
  void meet(unsigned mask, Part& part, Complete complete, Site site);
  /// Ends the launch; does not return. What it says comes in parts, texts, numbers and sites: a
  /// text put together by the caller would never be freed.
  template <class... Parts>
  [[noreturn]] void fail(Site site, Parts const&... parts) {
    failure_ = to_string(site) + ": ";
    ((failure_ += as_text(parts)), ...);
    abandon();
  }
  [[noreturn]] void fail(std::string const& whole) {
    failure_ = whole;
    abandon();
  }
  /// The same from a signal handler, for the thread that runs.
  [[noreturn]] void fail_by_signal(void const* address);

 private:
  static std::string as_text(Site site) { return to_string(site); }
  static std::string as_text(char const* text) { return text; }
  static std::string as_text(std::string const& text) { return text; }
  static std::string as_text(std::size_t n) { return std::to_string(n); }
  [[noreturn]] void abandon();
  void begin_block(std::uint64_t block_number);
  bool run_block();
  void draw_ranks(std::uint64_t block_number);
  void resume(Thread& t);
  void suspend();
  void wait(char const* what, unsigned mask, Site site);
  void wake(Thread& t);
  void thread_exits();
  void explain_deadlock();
  void renew_fibers();
  static void fiber_main(boost::context::detail::transfer_t from);

  std::vector<Thread> threads_;
  std::vector<Thread*> by_rank_;
  std::array<std::uint64_t, kMaxThreads / 64> ready_{};  // bits by rank
  int count_ = 0, exited_ = 0;

  int at_barrier_ = 0, predicates_ = 0, last_predicates_ = 0;
  Site barrier_site_;
  std::vector<std::vector<Meeting>> meetings_;  // by warp

  Launch const* launch_ = nullptr;
  Policy policy_;
  uint3 block_index_{};
  SharedMemory shared_;
  Thread* current_ = nullptr;
  std::string failure_, complaint_;
  boost::context::detail::fcontext_t scheduler_ = nullptr;
  void const* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_size_ = 0;
  void* stacks_ = nullptr;
};

/// The runner that device code talks to.
BlockRunner& runner();

}  // namespace cuda_host
