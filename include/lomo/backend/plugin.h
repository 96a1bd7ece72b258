#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"

namespace lomo {

class ProcessGroup;

/// What liblomo_cuda.so gives the program, by its one symbol. It is a library of its own so that
/// the program starts on a machine without a single CUDA library.
struct CudaPlugin {
  /// build_id() of what it was built with. First, so that it can be read from any plugin; the rest
  /// means something only if it is the program's own.
  char const* build;
  /// Why this process cannot compute on a GPU, one sentence; empty when it can. `local_rank` is its
  /// rank among the processes of this machine.
  std::string (*unavailable_reason)(int local_rank);
  /// Bytes an engine of this process could take. Only without an obstacle.
  std::size_t (*available_memory)(int local_rank);
  std::unique_ptr<Backend> (*make)(EngineOptions const& options);
  /// Exchanges of the tensors of an engine that `make` made, over NCCL, with the ranks of `host`,
  /// which passes the host collectives on and must outlive them. A rank that does not answer for as
  /// long as `timeout` is lost. Throws Error(Exit::usage) where NCCL is not there.
  std::unique_ptr<Communicator> (*connect)(Backend& engine, Communicator& host,
                                           std::chrono::seconds timeout);
};

/// What liblomo_mpi.so gives the program, by its one symbol. It is a library of its own so that the
/// program starts on a machine without MPI; see make_mpi_process_group.
struct MpiPlugin {
  char const* build;  // build_id() of what it was built with
  std::unique_ptr<ProcessGroup> (*make)();
};

/// Version, and a hash of the headers that the program and its plugins must agree on.
char const* build_id();

/// The plugin beside liblomo.so: in the build tree and where they are installed, never in the
/// current folder. LOMO_CUDA_PLUGIN, an absolute path, names another one; for tests. Stays open.
/// Throws Error(Exit::usage), one sentence: it is not there, its libraries are not, or it was built
/// from other sources.
CudaPlugin const& open_cuda_plugin();

}  // namespace lomo
