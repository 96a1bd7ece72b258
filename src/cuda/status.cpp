#include "status.h"

#include <string>

#include "lomo/core/error.h"

namespace lomo::cuda {

void check(cudaError_t status, char const* call) {
  if (status == cudaSuccess) return;
  const Exit code = status == cudaErrorMemoryAllocation ? Exit::memory : Exit::failure;
  throw Error(code, "CUDA: " + std::string(call) + ": " + cudaGetErrorString(status) + " (" +
                        cudaGetErrorName(status) + ")");
}

void check(cublasStatus_t status, char const* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const Exit code = status == CUBLAS_STATUS_ALLOC_FAILED ? Exit::memory : Exit::failure;
  throw Error(code, "cuBLASLt: " + std::string(call) + ": " + cublasLtGetStatusName(status));
}

}  // namespace lomo::cuda
