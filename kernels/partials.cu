// partial sums of ranks, brought together in rank order.
//
// Bytes: reads each part and writes the result once. Launch: a thread for 16 bytes of a row of the
// result (for a row, merging softmaxes), blocks of 256. Memory-bound.
#include "partials.h"

#include "launch.cuh"

namespace lomo::kernels {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    sum_partials_kernel(float* out, std::int64_t out_pitch, T const* partials, std::int64_t pitch,
                        std::int64_t ranks, std::int64_t rows, std::int64_t items) {
  for_each_item(rows, items, [&](std::int64_t row, std::int64_t item) {
    float sum[N] = {};
#pragma unroll 4
    for (std::int64_t q = 0; q < ranks; ++q) {
      float x[N];
      load(x, partials + (q * rows + row) * pitch + item * N);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += x[k];
    }
    store(out + row * out_pitch + item * N, sum);
  });
}

__global__ void __launch_bounds__(kThreads)
    sum_partials_f64_kernel(double* out, std::int64_t out_pitch, double const* partials,
                            std::int64_t pitch, std::int64_t ranks, std::int64_t rows,
                            std::int64_t cols) {
  for_each_item(rows, cols, [&](std::int64_t row, std::int64_t j) {
    double sum = 0;
    for (std::int64_t q = 0; q < ranks; ++q) sum += partials[(q * rows + row) * pitch + j];
    out[row * out_pitch + j] = sum;
  });
}

__global__ void __launch_bounds__(kThreads)
    merge_kernel(float* running, float const* partials, std::int64_t ranks, std::int64_t rows) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= rows) return;
  float maximum = partials[3 * row];
  for (std::int64_t q = 1; q < ranks; ++q) {
    const float other = partials[3 * (q * rows + row)];
    maximum = maximum < other ? other : maximum;
  }
  float sum = 0, target = 0;
  for (std::int64_t q = 0; q < ranks; ++q) {
    float const* const part = partials + 3 * (q * rows + row);
    // A rank without rows has nothing to add, and its maximum is -inf.
    if (part[1] != 0) sum += part[1] * expf(part[0] - maximum);
    target += part[2];
  }
  running[3 * row] = maximum;
  running[3 * row + 1] = sum;
  running[3 * row + 2] = target;
}

}  // namespace

cudaError_t sum_partials(Storage type, Out out, In partials, std::int64_t ranks, std::int64_t rows,
                         std::int64_t cols, cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(out, sizeof(float)) && aligned(partials, sizeof(T));
    return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, cols / N);
      return launch(sum_partials_kernel<T, N>, shape.grid, shape.block, 0, stream,
                    static_cast<float*>(out.data), out.pitch, static_cast<T const*>(partials.data),
                    partials.pitch, ranks, rows, cols / N);
    });
  });
}

cudaError_t sum_partials(double* out, std::int64_t out_pitch, double const* partials,
                         std::int64_t partials_pitch, std::int64_t ranks, std::int64_t rows,
                         std::int64_t cols, cudaStream_t stream) {
  const RowGrid shape(rows, cols);
  return launch(sum_partials_f64_kernel, shape.grid, shape.block, 0, stream, out, out_pitch,
                partials, partials_pitch, ranks, rows, cols);
}

cudaError_t cross_entropy_merge(float* running, float const* partials, std::int64_t ranks,
                                std::int64_t rows, cudaStream_t stream) {
  return launch(merge_kernel, dim3(static_cast<unsigned>(div_up(rows, kThreads))), dim3(kThreads),
                0, stream, running, partials, ranks, rows);
}

}  // namespace lomo::kernels
