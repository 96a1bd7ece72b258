#pragma once
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"

namespace lomo {

/// Whether a launcher (mpirun, srun) started this process as one of several. Only then is MPI
/// initialised.
bool started_as_rank();

/// The processes that a launcher started together; one where none did. Made once, when the program
/// starts, and alive until it ends.
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  ProcessGroup(ProcessGroup const&) = delete;  // the one connection to the others
  ProcessGroup& operator=(ProcessGroup const&) = delete;

  int rank() const { return topology_.rank; }
  int size() const { return topology_.size; }  // R
  /// Among those on this machine, which share its processors, memory and GPUs.
  int local_rank() const { return topology_.local_rank; }
  int local_size() const { return topology_.local_size; }
  /// The lowest rank on this machine, which names it.
  int machine() const { return topology_.machine; }

  /// How long an exchange waits for the others.
  void set_timeout(std::chrono::seconds timeout) {
    timeout_ = timeout;
    timeout_is(timeout);
  }
  std::chrono::seconds timeout() const { return timeout_; }
  /// Exchanges of CPU tensors, their cost on the ledger of `backend`. Not after the engine's end.
  virtual std::unique_ptr<Communicator> communicator(Backend& backend) = 0;
  /// Blocking host-side collectives; usable before an engine exists.
  virtual Communicator& host() = 0;

  /// Why a rank cannot go on: its exit code, and a hash of what it has to say.
  struct Failure {
    std::int64_t code = 0;  // 0: the rank did not come here
    std::uint64_t message_hash = 0;
    bool operator==(Failure const&) const = default;
  };
  /// For a rank that failed: its failure is told to the others, and theirs are heard, by rank, as
  /// far as they fail too within `window`. Unless all did, nothing can be exchanged any more.
  virtual std::vector<Failure> failures(Failure mine, std::chrono::milliseconds window) = 0;
  /// Ends every rank at once; `code` becomes the exit code of the launcher. For a rank that cannot
  /// go on while others wait for it.
  [[noreturn]] void abort(int code) {
    end_others(code);
    std::_Exit(code);
  }

 protected:
  struct Topology {
    int rank = 0, size = 1, local_rank = 0, local_size = 1, machine = 0;
  };
  explicit ProcessGroup(Topology topology) : topology_(topology) {}

 private:
  virtual void timeout_is(std::chrono::seconds timeout) = 0;
  virtual void end_others(int code) = 0;

  Topology topology_;
  std::chrono::seconds timeout_ = std::chrono::minutes(10);
};

/// An engine, and what the ranks that share its model exchange tensors by.
struct Engine {
  Engine(std::unique_ptr<Backend> engine, std::unique_ptr<Communicator> to_others = nullptr)
      : backend(std::move(engine)), connection(std::move(to_others)) {}
  Backend& operator*() const { return *backend; }
  Backend* operator->() const { return backend.get(); }
  /// The ranks that share the model; without a connection this one alone.
  Communicator& ranks() const { return connection ? *connection : backend->self_group(); }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> connection;  // ends before the engine
};

/// One rank; MPI is left alone.
std::unique_ptr<ProcessGroup> make_single_rank();
/// The ranks of MPI, from liblomo_mpi.so (src/mpi), which is opened when this is called: a program
/// that is started alone needs no MPI on its machine. One thread of each makes all MPI calls, so
/// that exchanges run beside computation. Throws Error(Exit::usage) where the library or MPI is not
/// there.
std::unique_ptr<ProcessGroup> make_mpi_process_group();

/// Rank `rank` of `size` on a dry engine: moves nothing and accounts for what that rank would
/// exchange. Host collectives return as if every rank had given the same.
std::unique_ptr<Communicator> make_dry_communicator(Backend& backend, int rank, int size);
/// The rank of `host` on a dry engine, beside ranks with batches of their own: as above,
/// but host collectives go to theirs.
std::unique_ptr<Communicator> make_dry_communicator(Backend& backend, Communicator& host);
/// Calls f on so many threads at once, each a rank with host collectives and no tensors.
/// Blocks, and throws what the lowest rank threw that failed by itself.
void dry_run_on_ranks(int ranks, std::function<void(Communicator& host)> const& f);

}  // namespace lomo
