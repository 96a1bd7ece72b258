// Sum of squares and non-finite count of a gradient, and plain sums.
//
//   stats[0] += sum of (scale g)^2 over finite elements,   stats[1] += count of the others
//
// Bytes: reads g once. Launch: a block of 256 threads for each piece of a row, then one block that
// adds the pieces in row order. Sums are double, for which a GeForce has one unit in 64: about two
// double operations an element, so that it is those and not memory that bound it there.
#include "measure.h"

#include "pieces.cuh"

namespace lomo::kernels {
namespace {

template <int N>
__global__ void __launch_bounds__(kThreads)
    measure_kernel(TwoSums* partial, float const* g, std::int64_t pitch, float scale,
                   std::int64_t cols) {
  sum_piece<N>(partial, cols, [&](TwoSums& sums, std::int64_t row, std::int64_t j) {
    float x[N];
    load(x, g + row * pitch + j);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float scaled = scale * x[k];
      const bool finite = (__float_as_uint(scaled) & 0x7f800000u) != 0x7f800000u;
      const double kept = finite ? scaled : 0.0f;
      sums.first += kept * kept;
      if (!finite) sums.second += 1;
    }
  });
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

std::size_t measure_workspace(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(piece_count(rows, cols)) * sizeof(TwoSums);
}

cudaError_t measure(double* stats, In g, float scale, void* workspace, std::int64_t rows,
                    std::int64_t cols, cudaStream_t stream, Variant variant) {
  const std::int64_t pieces = piece_count(rows, cols);
  const bool vectors =
      variant == Variant::tuned && cols % kVector<float> == 0 && aligned(g, sizeof(float));
  const cudaError_t error = with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    return launch(measure_kernel<N>, dim3(static_cast<unsigned>(pieces)), dim3(kThreads), 0, stream,
                  static_cast<TwoSums*>(workspace), static_cast<float const*>(g.data), g.pitch,
                  scale, cols);
  });
  if (error != cudaSuccess) return error;
  return add_pieces(stats, workspace, pieces, stream);
}

cudaError_t sum(double* total, float const* x, std::int64_t n, cudaStream_t stream) {
  return launch(sum_kernel, dim3(1), dim3(kThreads), 0, stream, total, x, n);
}

}  // namespace lomo::kernels
