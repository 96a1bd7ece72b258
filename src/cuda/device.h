#pragma once
#include <array>
#include <cstddef>
#include <string>

namespace lomo::cuda {

/// Why the GPU for a process cannot be computed on, one sentence; empty when it can. With one GPU
/// in sight every process takes it (a launcher may show each its own), else the one of its rank on
/// this machine.
std::string unavailable_reason(int local_rank);
/// The GPU that process takes; only after `unavailable_reason` found none.
int device_of(int local_rank);

/// Bytes that the engine may take of the current GPU: what is free, less what the driver and the
/// libraries will take beside it.
std::size_t available_memory();

/// What tells the current GPU from all others, on any machine.
std::array<char, 16> gpu_identity();

/// "NVIDIA GeForce RTX 3090, sm_86, 23.7 GiB".
std::string describe(int device);

}  // namespace lomo::cuda
