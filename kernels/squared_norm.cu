// Sum of squares and non-finite count of a gradient, inner products, and plain sums.
//
//   stats[0] += sum of (scale g)^2 over finite elements,   stats[1] += count of the others
//   sums[0] += weight sum of a b,   sums[1] += weight |a| |b|
//
// Bytes: reads g, or a and b, once. Launch: a block of 256 threads for each chunk of a row, then
// one block that adds the chunks in row order. Sums are double, for which a GeForce has one unit in
// 64: about two double operations an element, so that it is those and not memory that bound it
// there.
#include "squared_norm.h"

#include "chunks.cuh"

namespace lomo::kernels {
namespace {

template <int N>
__global__ void __launch_bounds__(kThreads)
    squared_norm_kernel(Sums<2>* partial, float const* g, std::int64_t pitch, float scale,
                        std::int64_t cols) {
  sum_chunk<N>(partial, cols, [&](Sums<2>& sums, std::int64_t row, std::int64_t j) {
    float x[N];
    load(x, g + row * pitch + j);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float scaled = scale * x[k];
      const bool finite = (__float_as_uint(scaled) & 0x7f800000u) != 0x7f800000u;
      const double kept = finite ? scaled : 0.0f;
      sums.of[0] += kept * kept;
      if (!finite) sums.of[1] += 1;
    }
  });
}

/// The sums of a b, a^2 and b^2.
template <int N>
__global__ void __launch_bounds__(kThreads)
    product_kernel(Sums<3>* partial, float const* a, std::int64_t a_pitch, float const* b,
                   std::int64_t b_pitch, std::int64_t cols) {
  sum_chunk<N>(partial, cols, [&](Sums<3>& sums, std::int64_t row, std::int64_t j) {
    float x[N], y[N];
    load(x, a + row * a_pitch + j);
    load(y, b + row * b_pitch + j);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const double p = x[k], q = y[k];
      sums.of[0] += p * q;
      sums.of[1] += p * p;
      sums.of[2] += q * q;
    }
  });
}

__global__ void __launch_bounds__(kThreads)
    add_product_kernel(double* sums, Sums<3> const* partial, std::int64_t count, double weight) {
  SHARED_ARRAY(double, total, 3);
  const int thread = threadIdx.x;
  const double mine = sum_of_chunks(0.0, partial, count);
  if (thread < 3) total[thread] = mine;
  __syncthreads();
  if (thread == 0) sums[0] += weight * total[0];
  if (thread == 1) sums[1] += weight * sqrt(total[1]) * sqrt(total[2]);
}

__global__ void __launch_bounds__(kThreads)
    sum_kernel(double* total, float const* x, std::int64_t n) {
  SHARED_ARRAY(double, scratch, kThreads / 32);
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kThreads) sum += x[i];
  sum = reduce_block(sum, scratch, Add{});
  if (threadIdx.x == 0) total[0] += sum;
}

}  // namespace

cudaError_t accumulate_squared_norm(double* stats, In g, float scale, void* workspace,
                                    std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                                    Variant variant) {
  auto* const partial = static_cast<Sums<2>*>(workspace);
  const std::int64_t chunks = chunk_count(rows, cols);
  const bool vectors =
      variant == Variant::tuned && cols % kVector<float> == 0 && aligned(g, sizeof(float));
  const cudaError_t error = with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    return launch(squared_norm_kernel<N>, dim3(static_cast<unsigned>(chunks)), chunk_block(cols, N),
                  0, stream, partial, static_cast<float const*>(g.data), g.pitch, scale, cols);
  });
  if (error != cudaSuccess) return error;
  return add_chunks<2>(stats, partial, chunks, stream);
}

cudaError_t inner_product(double* sums, In a, In b, double weight, void* workspace,
                          std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                          Variant variant) {
  auto* const partial = static_cast<Sums<3>*>(workspace);
  const std::int64_t chunks = chunk_count(rows, cols);
  const bool vectors = variant == Variant::tuned && cols % kVector<float> == 0 &&
                       aligned(a, sizeof(float)) && aligned(b, sizeof(float));
  const cudaError_t error = with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    return launch(product_kernel<N>, dim3(static_cast<unsigned>(chunks)), chunk_block(cols, N), 0,
                  stream, partial, static_cast<float const*>(a.data), a.pitch,
                  static_cast<float const*>(b.data), b.pitch, cols);
  });
  if (error != cudaSuccess) return error;
  return launch(add_product_kernel, dim3(1), dim3(kThreads), 0, stream, sums, partial, chunks,
                weight);
}

cudaError_t sum(double* total, float const* x, std::int64_t n, cudaStream_t stream) {
  return launch(sum_kernel, dim3(1), dim3(kThreads), 0, stream, total, x, n);
}

}  // namespace lomo::kernels
