#include "block.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>

#include "sanitizer.h"
#include "watcher.h"

namespace cuda_host {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kStack = 128 * 1024;

std::string name_of(Thread const& t) {
  return "thread (" + std::to_string(t.index.x) + "," + std::to_string(t.index.y) + "," +
         std::to_string(t.index.z) + ")";
}

sigjmp_buf after_signal;

}  // namespace

std::string to_string(Site site) {
  return std::string(site.file) + ":" + std::to_string(site.line);
}

BlockRunner& runner() {
  static BlockRunner the_runner;
  return the_runner;
}

BlockRunner::BlockRunner() : threads_(kMaxThreads), by_rank_(kMaxThreads), meetings_(32) {
  const std::size_t each = kStack + kPage;
  stacks_ = mmap(nullptr, each * kMaxThreads, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks_ == MAP_FAILED) throw std::runtime_error("cuda_host: no memory for stacks");
  for (int i = 0; i < kMaxThreads; ++i) {
    char* const bottom = static_cast<char*>(stacks_) + i * each;
    mprotect(bottom, kPage, PROT_NONE);
    threads_[i].number = i;
    threads_[i].stack = bottom + kPage;
  }
  renew_fibers();
}

BlockRunner::~BlockRunner() {
  munmap(stacks_, (kStack + kPage) * kMaxThreads);
}

/// Forgets what the fibers were doing: kernels own nothing that would have to be given back.
void BlockRunner::renew_fibers() {
  for (Thread& t : threads_) {
    allow(t.stack, kStack);
    t.context = boost::context::detail::make_fcontext(static_cast<char*>(t.stack) + kStack, kStack,
                                                      fiber_main);
  }
}

/// A fiber runs the kernel for one thread of one block after another.
void BlockRunner::fiber_main(boost::context::detail::transfer_t from) {
  BlockRunner& r = runner();
  enter_stack(nullptr, &r.scheduler_stack_, &r.scheduler_stack_size_);
  r.scheduler_ = from.fctx;
  for (;;) {
    r.launch_->thread();
    r.thread_exits();
    r.suspend();
  }
}

void BlockRunner::resume(Thread& t) {
  current_ = &t;
  void* fake = nullptr;
  leave_stack(&fake, t.stack, kStack);
  t.context = boost::context::detail::jump_fcontext(t.context, nullptr).fctx;
  enter_stack(fake, nullptr, nullptr);
  current_ = nullptr;
}

void BlockRunner::suspend() {
  Thread& t = *current_;
  leave_stack(&t.fake_stack, scheduler_stack_, scheduler_stack_size_);
  scheduler_ = boost::context::detail::jump_fcontext(scheduler_, nullptr).fctx;
  enter_stack(t.fake_stack, &scheduler_stack_, &scheduler_stack_size_);
}

std::string BlockRunner::run(Launch const& launch, Policy const& policy,
                             std::size_t max_shared_bytes) {
  launch_ = &launch;
  policy_ = policy;
  failure_.clear();
  count_ = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  std::uint64_t number = 0;
  for (unsigned z = 0; z < launch.grid.z; ++z) {
    for (unsigned y = 0; y < launch.grid.y; ++y) {
      for (unsigned x = 0; x < launch.grid.x; ++x, ++number) {
        block_index_ = uint3{x, y, z};
        // Blocks may come in any order; the last first is the one that differs most.
        if (policy.order == Order::reverse) {
          block_index_ = uint3{launch.grid.x - 1 - x, launch.grid.y - 1 - y, launch.grid.z - 1 - z};
        }
        shared_.begin_block(launch.dynamic_bytes, max_shared_bytes);
        begin_block(number);
        bool done = run_block();
        const std::string zones = shared_.check();
        if (done && !zones.empty()) {
          failure_ = zones;
          done = false;
        }
        if (!done) {
          renew_fibers();
          return failure_ + "; in block (" + std::to_string(block_index_.x) + "," +
                 std::to_string(block_index_.y) + "," + std::to_string(block_index_.z) + ")";
        }
      }
    }
  }
  return {};
}

void BlockRunner::begin_block(std::uint64_t block_number) {
  watcher().begin_block();
  exited_ = at_barrier_ = predicates_ = 0;
  for (auto& warp : meetings_) warp.clear();
  const dim3 extent = launch_->block;
  for (int i = 0; i < count_; ++i) {
    Thread& t = threads_[i];
    const auto n = static_cast<unsigned>(i);
    t.index = uint3{n % extent.x, n / extent.x % extent.y, n / extent.x / extent.y};
    t.exited = false;
    t.waits_for = nullptr;
    t.copies.clear();
    t.groups = 0;
  }
  draw_ranks(block_number);
  ready_.fill(0);
  for (int i = 0; i < count_; ++i) wake(threads_[i]);
}

void BlockRunner::draw_ranks(std::uint64_t block_number) {
  for (int i = 0; i < count_; ++i) {
    threads_[i].rank = policy_.order == Order::reverse ? count_ - 1 - i : i;
  }
  if (policy_.order == Order::priority) {
    std::mt19937_64 random(policy_.seed * 0x9e3779b97f4a7c15u + block_number);
    std::array<std::uint64_t, kMaxThreads> key;
    std::array<int, kMaxThreads> who;
    std::uint64_t warp_key = 0;
    for (int i = 0; i < count_; ++i) {
      if (i % kLanes == 0) warp_key = random() & ~std::uint64_t{0xffffffff};
      key[i] = warp_key | (random() & 0xffffffff);
    }
    std::iota(who.begin(), who.begin() + count_, 0);
    std::sort(who.begin(), who.begin() + count_, [&](int a, int b) { return key[a] < key[b]; });
    for (int i = 0; i < count_; ++i) threads_[who[i]].rank = i;
  }
  for (int i = 0; i < count_; ++i) by_rank_[threads_[i].rank] = &threads_[i];
}

void BlockRunner::wake(Thread& t) {
  t.waits_for = nullptr;
  ready_[t.rank / 64] |= std::uint64_t{1} << (t.rank % 64);
}

bool BlockRunner::run_block() {
  if (sigsetjmp(after_signal, 1) != 0) return false;
  while (exited_ < count_ && failure_.empty()) {
    int rank = -1;
    for (std::size_t w = 0; w < ready_.size() && rank < 0; ++w) {
      if (ready_[w] != 0) rank = static_cast<int>(w * 64) + __builtin_ctzll(ready_[w]);
    }
    if (rank < 0) {
      explain_deadlock();
      return false;
    }
    ready_[rank / 64] &= ~(std::uint64_t{1} << (rank % 64));
    resume(*by_rank_[rank]);
  }
  return failure_.empty();
}

void BlockRunner::abandon() {
  failure_ += "; " + name_of(*current_);
  for (;;) suspend();
}

void BlockRunner::fail_by_signal(void const* address) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", address);
  failure_ =
      "access to " + std::string(text) + ", where this kernel has no memory; " + name_of(*current_);
  current_ = nullptr;
  siglongjmp(after_signal, 1);
}

void BlockRunner::wait(char const* what, unsigned mask, Site site) {
  Thread& t = *current_;
  t.waits_for = what;
  t.mask = mask;
  t.site = site;
  suspend();
}

int BlockRunner::barrier(int predicate, Site site) {
  if (exited_ > 0) fail(site, "__syncthreads, but other threads of the block have returned");
  if (at_barrier_ == 0) {
    barrier_site_ = site;
    predicates_ = 0;
  } else if (site != barrier_site_) {
    fail(site, "__syncthreads, but other threads wait at the one at ", barrier_site_);
  }
  predicates_ += predicate;
  if (++at_barrier_ < count_) {
    wait("__syncthreads", 0, site);
    return last_predicates_;
  }
  at_barrier_ = 0;
  watcher().block_met();
  last_predicates_ = predicates_;
  for (int i = 0; i < count_; ++i) {
    if (&threads_[i] != current_) wake(threads_[i]);
  }
  return last_predicates_;
}

std::string order_memory(Part* const*, unsigned) {
  return {};
}

void BlockRunner::meet(unsigned mask, Part& part, Complete complete, Site site) {
  Thread& t = *current_;
  const unsigned me = 1u << t.lane();
  const int first = t.number - t.lane();
  if ((mask & me) == 0) fail(site, "a warp operation whose mask leaves out the calling lane");
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    if (first + lane >= count_) fail(site, "the mask names lanes that the block does not have");
    if (threads_[first + lane].exited) fail(site, "the mask names a lane that has returned");
  }
  auto& meetings = meetings_[t.number / kLanes];
  Meeting* meeting = nullptr;
  for (Meeting& m : meetings) {
    if ((m.mask & mask) == 0) continue;
    if (m.site != site || m.complete != complete) {
      fail(site, "lanes of one mask are at different warp operations, others at ", m.site);
    }
    if (m.mask != mask) fail(site, "lanes name different masks for one warp operation");
    meeting = &m;
  }
  if (meeting == nullptr) {
    meeting = &meetings.emplace_back();
    meeting->mask = mask;
    meeting->complete = complete;
    meeting->site = site;
  }
  part.site = site;
  meeting->parts[t.lane()] = &part;
  meeting->arrived |= me;
  if (meeting->arrived != mask) return wait("a warp operation", mask, site);
  const Meeting done = *meeting;
  meetings.erase(meetings.begin() + (meeting - meetings.data()));
  complaint_ = complete(done.parts.data(), mask);
  if (!complaint_.empty()) fail(site, complaint_);
  bool whole = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    const bool among = (mask >> lane & 1) != 0;
    if (among && lane != t.lane()) wake(threads_[first + lane]);
    if (!among && first + lane < count_ && !threads_[first + lane].exited) whole = false;
  }
  if (whole) watcher().warp_met(t.number / kLanes, complete == order_memory);
}

void BlockRunner::thread_exits() {
  Thread& t = *current_;
  t.exited = true;
  ++exited_;
  if (at_barrier_ > 0)
    fail(barrier_site_, "others wait at this __syncthreads for a thread that returned");
  for (Meeting const& m : meetings_[t.number / kLanes]) {
    if ((m.mask >> t.lane() & 1) != 0) {
      fail(m.site, "a warp operation waits for a lane that returned");
    }
  }
}

void BlockRunner::explain_deadlock() {
  std::map<std::string, int> waiting;
  for (int i = 0; i < count_; ++i) {
    Thread const& t = threads_[i];
    if (t.exited) continue;
    char mask[24] = "";
    if (t.mask != 0) std::snprintf(mask, sizeof mask, " of lanes %08x", t.mask);
    ++waiting[to_string(t.site) + " at " + t.waits_for + mask];
  }
  failure_ = "deadlock: ";
  for (auto const& [where, n] : waiting) {
    failure_ +=
        std::to_string(n) + (n == 1 ? " thread waits in " : " threads wait in ") + where + ", ";
  }
  failure_ += "nobody can go on";
}

}  // namespace cuda_host
