#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

namespace lomo::cuda {

/// Throws Error naming `call` where it did not succeed: Exit::memory when device memory is full,
/// Exit::failure otherwise. Kernels fail where the host next waits for them.
void check(cudaError_t status, char const* call);
void check(cublasStatus_t status, char const* call);

}  // namespace lomo::cuda
