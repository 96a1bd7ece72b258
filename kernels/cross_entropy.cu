// Cross-entropy over blocks of the vocabulary: online log-sum-exp, then dZ of a block.
//
//   m' = max(m, max_j z_j),   s' = s e^(m - m') + sum_j e^(z_j - m')
//   dz_j = scale (e^(z_j - lse) - [j is the target])
//
// Bytes: `block` reads z once; `backward` reads z and writes dz once. Launch: `block` gives a row
// to a block of 256 threads, each with a running maximum and sum of its own over 16 bytes at a
// time, merged in a fixed order; `backward` a thread for every 16 bytes of z. Memory-bound up to
// about 8 flops a byte.
#include "cross_entropy.h"

#include "block.cuh"
#include "launch.cuh"

namespace lomo::kernels {
namespace {

/// A log-sum-exp under way. A NaN is left out of the maximum and poisons the sum.
struct Running {
  float max, sum;
};

__device__ __forceinline__ float infinity() {
  return __uint_as_float(0x7f800000u);
}

struct Merge {
  __device__ __forceinline__ Running operator()(Running a, Running b) const {
    const float max = b.max > a.max ? b.max : a.max;
    const float row_max = max == -infinity() ? 0.0f : max;  // no logit yet above -inf
    return {max, a.sum * expf(a.max - row_max) + b.sum * expf(b.max - row_max)};
  }
};

__global__ void __launch_bounds__(kThreads) begin_kernel(float* running, std::int64_t rows) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < 3 * rows) running[i] = i % 3 == 0 ? -infinity() : 0.0f;
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    block_kernel(float* running, float const* z, std::int64_t pitch, std::int32_t const* targets,
                 std::int64_t first, std::int64_t cols) {
  SHARED_ARRAY(float, maxima, kThreads / 32);
  SHARED_ARRAY(float, sums, kThreads / 32);
  const std::int64_t row = blockIdx.x;
  const int thread = threadIdx.x;
  float const* const logits = z + row * pitch;
  Running mine{-infinity(), 0.0f};
  for (std::int64_t j = static_cast<std::int64_t>(thread) * N; j < cols; j += kThreads * N) {
    float x[N];
    load(x, logits + j);
    float max = mine.max;
#pragma unroll
    for (int k = 0; k < N; ++k) max = x[k] > max ? x[k] : max;
    const float row_max = max == -infinity() ? 0.0f : max;
    float sum = mine.sum * expf(mine.max - row_max);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += expf(x[k] - row_max);
    mine = {max, sum};
  }
  const Merge merge;
#pragma unroll
  for (int stride = 16; stride > 0; stride /= 2) {
    const Running other{__shfl_xor_sync(kAllLanes, mine.max, stride),
                        __shfl_xor_sync(kAllLanes, mine.sum, stride)};
    // The lower lane is the first operand on both sides: all lanes get the same bits.
    mine = (thread & stride) == 0 ? merge(mine, other) : merge(other, mine);
  }
  if (thread % 32 == 0) {
    maxima[thread / 32] = mine.max;
    sums[thread / 32] = mine.sum;
  }
  __syncthreads();
  if (thread == 0) {
    float* const state = running + 3 * row;
    Running total{state[0], state[1]};
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      total = merge(total, {maxima[warp], sums[warp]});
    }
    state[0] = total.max;
    state[1] = total.sum;
    const std::int64_t target = targets[row] - first;
    if (target >= 0 && target < cols) state[2] = logits[target];
  }
}

__global__ void __launch_bounds__(kThreads)
    end_kernel(float* loss, float* lse, float const* running, std::int64_t rows) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= rows) return;
  float const* const state = running + 3 * row;
  const float log_sum = logf(state[1]);
  lse[row] = state[0] + log_sum;
  loss[row] = log_sum + (state[0] - state[2]);  // lse - target would carry the rounding of lse
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(T* dz, std::int64_t dz_pitch, float const* z, std::int64_t pitch,
                    float const* lse, std::int32_t const* targets, std::int64_t first, float scale,
                    std::int64_t rows, std::int64_t items) {
  for_each_item(rows, items, [&](std::int64_t row, std::int64_t item) {
    float x[N];
    load(x, z + row * pitch + item * N);
    const float log_sum = lse[row];
    const std::int64_t target = targets[row] - first - item * N;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float p = expf(x[k] - log_sum);
      x[k] = scale * (k == target ? p - 1.0f : p);
    }
    store(dz + row * dz_pitch + item * N, x);
  });
}

dim3 blocks_for(std::int64_t n) {
  return dim3(static_cast<unsigned>(div_up(n, kThreads)));
}

}  // namespace

cudaError_t cross_entropy_begin(float* running, std::int64_t rows, cudaStream_t stream) {
  return launch(begin_kernel, blocks_for(3 * rows), dim3(kThreads), 0, stream, running, rows);
}

cudaError_t cross_entropy_block(float* running, In z, std::int32_t const* targets,
                                std::int64_t first, std::int64_t rows, std::int64_t cols,
                                cudaStream_t stream, Variant variant) {
  const bool vectors =
      variant == Variant::tuned && cols % kVector<float> == 0 && aligned(z, sizeof(float));
  return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    return launch(block_kernel<N>, dim3(static_cast<unsigned>(rows)), dim3(kThreads), 0, stream,
                  running, static_cast<float const*>(z.data), z.pitch, targets, first, cols);
  });
}

cudaError_t cross_entropy_end(float* loss, float* lse, float const* running, std::int64_t rows,
                              cudaStream_t stream) {
  return launch(end_kernel, blocks_for(rows), dim3(kThreads), 0, stream, loss, lse, running, rows);
}

cudaError_t cross_entropy_backward(Storage type, Out dz, In z, float const* lse,
                                   std::int32_t const* targets, std::int64_t first, float scale,
                                   std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                                   Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(z, sizeof(float)) && aligned(dz, sizeof(T));
    return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, cols / N);
      return launch(backward_kernel<T, N>, shape.grid, shape.block, 0, stream,
                    static_cast<T*>(dz.data), dz.pitch, static_cast<float const*>(z.data), z.pitch,
                    lse, targets, first, scale, rows, cols / N);
    });
  });
}

}  // namespace lomo::kernels
