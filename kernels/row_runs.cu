#include "row_runs.cuh"

#include "launch.cuh"

namespace lomo::kernels {
namespace {

// dw = sum of the runs: eight groups of runs, each in order, then the groups in order.
__global__ void __launch_bounds__(kThreads)
    sum_runs_kernel(float* dw, float const* partial, std::int64_t runs, std::int64_t cols) {
  constexpr int kGroups = kThreads / 32;
  SHARED_ARRAY(float, group_sums, kThreads);
  const int lane = threadIdx.x % 32;
  const int group = threadIdx.x / 32;
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * 32 + lane;
  const std::int64_t each = (runs + kGroups - 1) / kGroups;
  const std::int64_t end = (group + 1) * each < runs ? (group + 1) * each : runs;
  float sum = 0;
  if (j < cols) {
#pragma unroll 8
    for (std::int64_t run = group * each; run < end; ++run) sum += partial[run * cols + j];
  }
  group_sums[threadIdx.x] = sum;
  __syncthreads();
  if (group != 0 || j >= cols) return;
  for (int g = 1; g < kGroups; ++g) sum += group_sums[g * 32 + lane];
  dw[j] = sum;
}

}  // namespace

cudaError_t sum_runs(float* sum, float const* partial, std::int64_t runs, std::int64_t cols,
                     cudaStream_t stream) {
  return launch(sum_runs_kernel, dim3(static_cast<unsigned>(div_up(cols, 32))), dim3(kThreads), 0,
                stream, sum, partial, runs, cols);
}

}  // namespace lomo::kernels
