#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda_host/watch.h"

namespace cuda_host {

/// An access of the thread that runs. `at` is the return address of the call that reports it: the
/// instruction, told apart in every function it was inlined into.
struct Access {
  void const* p;
  std::size_t bytes;
  bool store;
  void const* at;
};

/// The traffic of instructions. Lanes run one after another, so the executions of an instruction
/// are put together afterwards: between two points where the warp meets, the k-th by each lane is
/// one execution by the warp.
class TrafficCounter {
 public:
  void add(int thread, Space space, Access const& access);
  void warp_met(int warp);
  void block_met();
  std::vector<Traffic> totals();
  void clear();

 private:
  struct Instruction {
    void const* at;
    Space space;
    bool store;
    int bytes;
    bool operator==(Instruction const&) const = default;
  };
  struct Hash {
    std::size_t operator()(Instruction const& i) const;
  };
  struct Execution {
    std::uint32_t lanes = 0;
    std::array<std::uintptr_t, 32> address;
  };
  struct Executions {
    std::vector<Execution> times;
    std::uint32_t open = 0;                // of them, not counted yet
    std::array<std::uint32_t, 32> done{};  // by each lane
    Traffic* total = nullptr;
  };
  static void count(Traffic& total, Execution const& execution);
  static std::vector<std::uintptr_t> pieces(Execution const& execution, int bytes,
                                            std::uintptr_t size, int first, int end);

  std::unordered_map<Instruction, Traffic, Hash> totals_;
  std::array<std::unordered_map<Instruction, Executions, Hash>, 32> of_warp_;
  std::array<std::vector<Executions*>, 32> open_;  // of each warp
};

/// Who touched shared memory since it was last in order. Two accesses to the same two bytes, one of
/// them a store, are a race unless one thread made both or a barrier of the block, or __syncwarp of
/// their whole warp, lies between; other warp operations order nothing.
class RaceDetector {
 public:
  RaceDetector();
  void begin_block() { ++interval_, ++block_; }
  void block_met() { ++interval_; }
  void warp_fenced(int warp) { ++fences_[static_cast<std::size_t>(warp)]; }
  /// Empty, or what it races with. `offset` is from the beginning of shared memory.
  std::string access(int thread, std::size_t offset, Access const& access);
  /// cp.async of `access` is issued or, when `done`, was waited for. In between nobody may touch
  /// it.
  std::string copy(int thread, std::size_t offset, Access const& access, bool done);

 private:
  struct Granule {
    std::uint64_t written = 0, read = 0;  // intervals
    std::uint64_t write_fence = 0, read_fence = 0;
    std::uint64_t copied = 0;  // block whose cp.async to it is under way
    void const *writer_at = nullptr, *reader_at = nullptr;
    std::int16_t writer = 0, reader = 0;  // thread; or of several readers: kWarp, kBlock
    std::int16_t reader_warp = 0;
  };
  static constexpr std::int16_t kWarp = -1, kBlock = -2;
  std::string clash(Granule const& g, int thread, Access const& access) const;

  std::vector<Granule> granules_;
  std::uint64_t interval_ = 0, block_ = 0;
  std::array<std::uint64_t, 32> fences_{};
};

/// Receives what watched kernels report.
class Watcher {
 public:
  /// Called when the program has watched kernels; nothing is reported before.
  void begin() { on_ = true; }
  bool on() const { return on_; }
  /// By the thread that runs, if one does.
  void access(Access const& access);
  void copy(Access const& to, void const* from, bool done);
  void begin_block();
  void warp_met(int warp, bool fence);
  void block_met();
  TrafficCounter& traffic() { return traffic_; }

 private:
  void fail_if(std::string race);

  bool on_ = false;
  bool busy_ = false;  // inline functions that this class uses may be watched ones
  TrafficCounter traffic_;
  RaceDetector races_;
  std::string race_;  // keeps the text: the thread that fails never returns
};

Watcher& watcher();

/// "file:line, inlined at file:line" of return addresses in this program, by addr2line.
std::vector<std::string> places_of(std::vector<void const*> const& addresses);

}  // namespace cuda_host
