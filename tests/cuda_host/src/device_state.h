#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

#include "cuda_host/control.h"

namespace cuda_host {

/// The device that is posed as.
struct Architecture {
  int number;                // 86 is compute capability 8.6
  std::size_t max_shared;    // bytes a block, with cudaFuncSetAttribute
  std::size_t shared_of_sm;  // bytes
  int processors;
};

Architecture const& architecture();
Policy const& policy();

/// Notes an error that cudaGetLastError() returns once, and returns it.
cudaError_t note(cudaError_t error);
/// Keeps the reason of a call that was refused, for report().
void note_refusal(std::string const& why);
/// Notes an error after which every call fails, with what is known of it.
void note_sticky(cudaError_t error, std::string const& what);
/// The error every call must return, or cudaSuccess.
cudaError_t sticky();
/// Every kernel is back at 48 KiB of dynamic shared memory.
void forget_shared_memory_requests();

}  // namespace cuda_host
