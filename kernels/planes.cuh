#pragma once
// Floats in shared memory for lanes that each take N neighbours. With N = 8 the groups of four that
// a lane takes first lie in one plane and those it takes second in another: then the lanes of a
// warp touch 16-byte words side by side, and the planes are a half turn of the banks apart, so that
// lanes that take one float or four of a row in its own order touch every bank once as well.
#include "storage.cuh"

namespace lomo::kernels {

/// Floats that planes of n take more than n, at most.
inline constexpr int kPlanePadding = 48;

/// Where float i of n lies.
template <int N>
__device__ __forceinline__ int place(int i, int n) {
  if constexpr (N != 8) return i;
  return i / 4 % 2 * ((n / 2 + 31) / 32 * 32 + 16) + i / 8 * 4 + i % 4;
}

/// x = floats [i, i + N) of n; i is a multiple of N.
template <int N>
__device__ __forceinline__ void load_planes(float (&x)[N], float const* planes, int i, int n) {
  if constexpr (N == 1) {
    x[0] = planes[i];
  } else {
#pragma unroll
    for (int k = 0; k < N; k += 4) {
      float four[4];
      load(four, planes + place<N>(i + k, n));
#pragma unroll
      for (int c = 0; c < 4; ++c) x[k + c] = four[c];
    }
  }
}

template <int N>
__device__ __forceinline__ void store_planes(float* planes, float const (&x)[N], int i, int n) {
  if constexpr (N == 1) {
    planes[i] = x[0];
  } else {
#pragma unroll
    for (int k = 0; k < N; k += 4) {
      const float four[4] = {x[k], x[k + 1], x[k + 2], x[k + 3]};
      store(planes + place<N>(i + k, n), four);
    }
  }
}

}  // namespace lomo::kernels
