// Rotary embedding in place, half layout.
//
//   (a, b) = (x[i], x[i + half])  ->  (a cos - b sin, b cos + a sin),   angle = position
//   inv_freq[i]
//
// Bytes: reads and writes each element once. Launch: a block of 128 threads a row. The block first
// makes the row's sines and cosines in shared memory, once for all heads, then each thread turns
// 16 bytes of both halves at a time. Memory-bound: 3 flops an element, and half x 60 a row.
#include "rope.h"

#include "launch.cuh"
#include "planes.cuh"

namespace lomo::kernels {
namespace {

constexpr int kRopeThreads = 128;
constexpr int kMaxHalf = 512;

struct alignas(16) Table {
  float of[kMaxHalf + kPlanePadding];
};

struct Turn {
  float sine, cosine;
};

/// Sine and cosine of position * freq to about 1e-7. The angle is reduced to an eighth of a turn in
/// double: a position of 100 000 leaves a float no digits. Taylor sums then end below 2^-24.
__device__ __forceinline__ Turn turn_by(std::int32_t position, float freq) {
  constexpr double kTurn = 6.283185307179586476925;
  const double turns = static_cast<double>(position) * static_cast<double>(freq) * (1 / kTurn);
  const double quarters = rint(4 * turns);
  const auto x = static_cast<float>((turns - 0.25 * quarters) * kTurn);  // |x| <= pi / 4
  const float y = x * x;
  const float sine =
      x + x * y * (-1.0f / 6 + y * (1.0f / 120 + y * (-1.0f / 5040 + y * (1.0f / 362880))));
  const float cosine =
      1.0f +
      y * (-0.5f + y * (1.0f / 24 + y * (-1.0f / 720 + y * (1.0f / 40320 - y * (1.0f / 3628800)))));
  const int quarter = static_cast<int>(static_cast<long long>(quarters) & 3);
  const float s = quarter % 2 == 0 ? sine : cosine;
  const float c = quarter % 2 == 0 ? cosine : sine;
  return {quarter >= 2 ? -s : s, quarter == 1 || quarter == 2 ? -c : c};
}

template <class T, int N>
__global__ void __launch_bounds__(kRopeThreads)
    rope_kernel(T* x, std::int64_t pitch, std::int32_t const* positions, float const* inv_freq,
                int heads, int width, int half, int direction, float scale) {
  SHARED_ARRAY(Table, sines, 1);
  SHARED_ARRAY(Table, cosines, 1);
  const std::int64_t row = blockIdx.x;
  const int thread = threadIdx.x;
  for (int i = thread; i < half; i += kRopeThreads) {
    const Turn turn = turn_by(direction * positions[row], inv_freq[i]);
    sines[0].of[place<N>(i, half)] = scale * turn.sine;
    cosines[0].of[place<N>(i, half)] = scale * turn.cosine;
  }
  __syncthreads();
  const int per_head = half / N;
  for (int item = thread; item < heads * per_head; item += kRopeThreads) {
    const int i = item % per_head * N;
    T* const lower = x + row * pitch + static_cast<std::int64_t>(item / per_head) * width + i;
    float a[N], b[N], s[N], c[N];
    load(a, lower);
    load(b, lower + half);
    load_planes(s, sines[0].of, i, half);
    load_planes(c, cosines[0].of, i, half);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float turned = a[k] * c[k] - b[k] * s[k];
      b[k] = b[k] * c[k] + a[k] * s[k];
      a[k] = turned;
    }
    store(lower, a);
    store(lower + half, b);
  }
}

}  // namespace

cudaError_t rope(Storage type, Out x, std::int32_t const* positions, float const* inv_freq,
                 RopeShape const& shape, int direction, float scale, cudaStream_t stream,
                 Variant variant) {
  const std::int64_t half = shape.half;
  if (half > kMaxHalf) return cudaErrorInvalidValue;
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && half % kVector<T> == 0 &&
                         shape.width % kVector<T> == 0 && aligned(x, sizeof(T));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      return launch(rope_kernel<T, N>, dim3(static_cast<unsigned>(shape.rows)), dim3(kRopeThreads),
                    0, stream, static_cast<T*>(x.data), x.pitch, positions, inv_freq,
                    static_cast<int>(shape.heads), static_cast<int>(shape.width),
                    static_cast<int>(half), direction, scale);
    });
  });
}

}  // namespace lomo::kernels
