#pragma once
// Sums over a matrix whose bits do not depend on how its rows are cut into tiles: a row is cut into
// chunks of at most kChunkColumns columns, a block sums a chunk in a fixed order, and the chunks
// are added to the running total one after the other.
#include "block.cuh"
#include "launch.cuh"
#include "workspace.h"

namespace lomo::kernels {

template <int K>
struct Sums {
  double of[K];
};

/// f(x, row, column) adds the N elements from `column` on to the K sums in x.
template <int N, int K, class F>
__device__ __forceinline__ void sum_chunk(Sums<K>* partial, std::int64_t cols, F&& f) {
  SHARED_ARRAY(double, scratch, kThreads / 32);
  const std::int64_t across = (cols + kChunkColumns - 1) / kChunkColumns;
  const std::int64_t row = blockIdx.x / across;
  const std::int64_t first = blockIdx.x % across * kChunkColumns;
  const std::int64_t end = first + kChunkColumns < cols ? first + kChunkColumns : cols;
  Sums<K> mine{};
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * N;
  for (std::int64_t j = first + static_cast<std::int64_t>(threadIdx.x) * N; j < end; j += step) {
    f(mine, row, j);
  }
#pragma unroll
  for (int k = 0; k < K; ++k) {
    const double sum = reduce_block(mine.of[k], scratch, Add{});
    if (threadIdx.x == 0) partial[blockIdx.x].of[k] = sum;
  }
}

/// The block for a chunk of rows of so many columns, N at a time: by the columns alone, so that the
/// order of a sum is.
inline dim3 chunk_block(std::int64_t cols, int n) {
  return dim3(
      static_cast<unsigned>(std::clamp<std::int64_t>(div_up(cols, 32 * n) * 32, 32, kThreads)));
}

/// Thread k < K of the block: start + sum k of the chunks, in order. Only the additions themselves
/// are serial. All threads take part.
template <int K>
__device__ __forceinline__ double sum_of_chunks(double start, Sums<K> const* partial,
                                                std::int64_t count) {
  SHARED_ARRAY(Sums<K>, ahead, kThreads);
  const int thread = threadIdx.x;
  for (std::int64_t first = 0; first < count; first += kThreads) {
    if (first + thread < count) ahead[thread] = partial[first + thread];
    __syncthreads();
    if (thread < K) {
      const std::int64_t here = count - first < kThreads ? count - first : kThreads;
      for (int i = 0; i < here; ++i) start += ahead[i].of[thread];
    }
    __syncthreads();
  }
  return start;
}

/// total[k] += sum k of the chunks.
template <int K>
static __global__ void __launch_bounds__(kThreads)
    add_chunks_kernel(double* total, Sums<K> const* partial, std::int64_t count) {
  const int thread = threadIdx.x;
  const double sum = sum_of_chunks(thread < K ? total[thread] : 0.0, partial, count);
  if (thread < K) total[thread] = sum;
}

template <int K>
static cudaError_t add_chunks(double* total, Sums<K> const* partial, std::int64_t count,
                              cudaStream_t stream) {
  return launch(add_chunks_kernel<K>, dim3(1), dim3(kThreads), 0, stream, total, partial, count);
}

}  // namespace lomo::kernels
