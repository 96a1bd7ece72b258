#pragma once
// Sums and maxima over a block in one fixed order. Every thread takes part and gets the result.
#include "device.cuh"

namespace lomo::kernels {

inline constexpr unsigned kAllLanes = 0xffffffffu;

struct Add {
  template <class V>
  __device__ __forceinline__ V operator()(V a, V b) const {
    return a + b;
  }
};
struct Min {
  __device__ __forceinline__ int operator()(int a, int b) const { return a < b ? a : b; }
};
struct Max {
  __device__ __forceinline__ int operator()(int a, int b) const { return a > b ? a : b; }
};

/// Over the 32 lanes, by halves: 16, 8, 4, 2, 1 apart.
template <class V, class F>
__device__ __forceinline__ V reduce_warp(V x, F f) {
#pragma unroll
  for (int stride = 16; stride > 0; stride /= 2) x = f(x, __shfl_xor_sync(kAllLanes, x, stride));
  return x;
}

/// Over a one-dimensional block of whole warps: each warp, then the warps in order.
/// `scratch` holds one V a warp; the block may use it again at once.
template <class V, class F>
__device__ __forceinline__ V reduce_block(V x, V* scratch, F f) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warps = blockDim.x / 32;
  x = reduce_warp(x, f);
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  V total = scratch[0];
  for (int i = 1; i < warps; ++i) total = f(total, scratch[i]);
  __syncthreads();
  return total;
}

}  // namespace lomo::kernels
