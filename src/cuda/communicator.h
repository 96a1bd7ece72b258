#pragma once
#include <chrono>
#include <memory>

#include "engine.h"
#include "lomo/backend/communicator.h"

namespace lomo::cuda {

/// Exchanges of the tensors of `engine`, over NCCL, with the ranks of `host`, which passes the
/// host collectives on and must outlive it. Not after the engine's end. Throws Error(Exit::usage)
/// where NCCL is not there.
std::unique_ptr<Communicator> make_communicator(CudaBackend& engine, Communicator& host,
                                                std::chrono::seconds timeout);

}  // namespace lomo::cuda
