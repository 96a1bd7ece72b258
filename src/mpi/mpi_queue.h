#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lomo/backend/event_log.h"

namespace lomo::mpi {

/// What this rank gives to the others and takes from them at one time.
struct PendingExchange {
  struct Send {
    int to = 0;
    std::byte const* from = nullptr;
    std::size_t bytes = 0;
  };
  struct Receive {
    int from = 0;
    std::byte* to = nullptr;
    std::size_t bytes = 0;
  };
  struct Keep {  // within this rank
    std::byte* to = nullptr;
    std::byte const* from = nullptr;
    std::size_t bytes = 0;
  };
  char const* name = "";
  int tag = 0;  // exchanges of different kinds never meet
  std::vector<Send> sends;
  std::vector<Receive> receives;
  Keep keep;
  EventLog::Event* event = nullptr;  // where its beginning and end are noted
};

/// MPI of this process from its start to its end, and the thread that makes all MPI calls: the
/// communication stream of a rank, first in, first out. While it waits for others it sleeps between
/// looks, so that it takes no processor from those that compute.
class MpiQueue {
 public:
  using Fence = std::uint64_t;
  using Milliseconds = std::chrono::milliseconds;

  MpiQueue();
  /// Ends MPI, together with the other ranks; leaves it as it is when an exchange failed.
  ~MpiQueue();
  MpiQueue(MpiQueue const&) = delete;  // owns the thread
  MpiQueue& operator=(MpiQueue const&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  int machine() const { return machine_; }  // its lowest rank
  /// How long one exchange may take.
  void set_timeout(Milliseconds timeout);

  /// What it points to must stay as it is until it is done.
  Fence issue(PendingExchange exchange);
  /// Blocks until the exchange and all before it are done. Throws Error(Exit::communication) when
  /// one of them failed: the others did not answer in time, or MPI reported an error.
  void wait(Fence fence);
  /// Waits so long at most; what is not done then never will be, and nothing after it: memory that
  /// exchanges point to is left alone from here on. True when the exchange is done.
  bool finish_or_give_up(Fence fence, Milliseconds timeout);
  /// Ends all ranks, this one too unless its thread hangs within MPI.
  void end_others(int code);

 private:
  void run();
  void start_mpi();
  void serve();
  void carry_out(PendingExchange const& exchange);
  bool given_up();
  std::string name_of(int rank) const;

  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1, machine_ = 0;
  std::vector<std::string> names_;  // of machines, by rank

  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  std::deque<PendingExchange> waiting_;
  Milliseconds timeout_;
  Fence issued_ = 0, finished_ = 0;
  bool started_ = false, ending_ = false, giving_up_ = false;
  std::string failure_;  // why nothing is exchanged any more; empty: all is well
  int abort_code_ = -1;
  std::thread thread_;
};

}  // namespace lomo::mpi
