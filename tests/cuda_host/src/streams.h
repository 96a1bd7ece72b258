#pragma once
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cuda_host/control.h"

namespace cuda_host {

struct Event {
  std::uint64_t recorded = 0;   // how often cudaEventRecord was called
  std::uint64_t completed = 0;  // the latest of those that the device reached
  std::deque<double> seconds;   // when it reached each of them, by the device's clock
  bool timed = true;
  bool destroyed = false;
};

/// What a piece of work takes by the device's clock, and a call by the host's.
constexpr double kWorkSeconds = 20e-6;
constexpr double kCallSeconds = 1e-6;

/// One piece of work of a stream. `run` returns what went wrong, or nothing.
struct Work {
  std::function<std::string()> run;
  std::optional<Ran::What> what = {};  // for the log, if it belongs there
  Event* waits_for = nullptr;          // until it has completed `version`
  std::uint64_t version = 0;
  std::uint64_t fence = 0;
  double lasts = kWorkSeconds;
  double issued = 0;  // by the host's clock
  /// For work that waits for other processes: whether it can run now, or ever. Null: always can.
  enum class Readiness : std::uint8_t { now, later, never };
  std::function<Readiness()> ready;
};

struct Stream {
  std::deque<Work> work;
  double seconds = 0;    // when what it ran so far ends, by the device's clock
  bool blocking = true;  // keeps order with the default stream
  bool destroyed = false;
};

/// All streams of the device on the caller's thread. Nothing runs when it is enqueued (but for a
/// few pieces now and then); when the host waits, any piece of work that could run next may, by a
/// generator with a seed, until what the host waits for is done.
///
/// The clock of events is that of a device whose streams all run at once: work begins when it was
/// issued, what it waits for is over, and its stream has come to it, and lasts kWorkSeconds. The
/// host, whose calls take kCallSeconds, sleeps until what it waits for is over. So the times of
/// events do not depend on the order in which work really ran, nor on the machine.
class Streams {
 public:
  void reset(std::uint64_t seed, bool lazy);
  void follow(std::uint64_t seed, bool lazy);
  void log_to(std::vector<Ran>* log) { log_ = log; }

  /// The stream of a handle, or null if there is none.
  Stream* find(cudaStream_t handle);
  Event* find(cudaEvent_t handle);
  cudaStream_t create_stream(bool blocking);
  cudaEvent_t create_event(bool timed);

  void enqueue(Stream& stream, Work work);
  void finish(Stream const& stream);
  void finish(Event const& event, std::uint64_t version);
  void finish_all();
  /// Time passes: one piece of work may run.
  void pass_time();
  /// Runs until work enqueued at `stream` as `fence` has run, as far as that is ever possible.
  void reach(Stream const& stream, std::uint64_t fence);
  std::uint64_t last_fence() const { return fences_; }
  /// The host has learnt that what ended then is over.
  void host_saw(double seconds) { host_ = std::max(host_, seconds); }
  bool in_progress() const { return running_; }

 private:
  template <class Done>
  bool run_until(Done done);
  template <class Done>
  void finish_when(Done done);
  bool run_one();
  bool wait_for_others();
  bool can_run(Stream const& stream) const;
  int number_of(Stream const& stream) const;
  double start_of(Stream const& stream, Work const& work) const;

  std::vector<std::unique_ptr<Stream>> streams_;  // the first is the default stream
  std::vector<std::unique_ptr<Event>> events_;
  std::mt19937_64 random_{1};
  std::uint64_t fences_ = 0;
  double host_ = 0;
  Stream* preferred_ = nullptr;
  std::vector<Ran>* log_ = nullptr;
  bool lazy_ = true;
  bool running_ = false;
};

Streams& streams();

}  // namespace cuda_host
