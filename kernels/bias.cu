// A bias in every row, the sum over rows that is its gradient, and rows times a number.
//
// Bytes: add_bias writes one and reads up to one element for each of rows x cols; sum_columns reads
// one, and writes and reads 4 x cols x runs bytes of partial sums; scale reads one or two and
// writes one. Launch: a thread for 16 bytes of a row; of the sum a thread for a column of a run of
// rows, neighbours side by side. Memory-bound.
#include "bias.h"

#include "row_runs.cuh"

namespace lomo::kernels {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    add_bias_kernel(T* y, std::int64_t y_pitch, T const* bias, T const* x, std::int64_t x_pitch,
                    std::int64_t rows, std::int64_t cols) {
  for_each_item(rows, cols / N, [&](std::int64_t row, std::int64_t item) {
    float v[N];
    load(v, bias + item * N);
    if (x != nullptr) {
      float add[N];
      load(add, x + row * x_pitch + item * N);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = add[k] + v[k];
    }
    store(y + row * y_pitch + item * N, v);
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_columns_kernel(float* partial, T const* dy, std::int64_t pitch, std::int64_t rows,
                       std::int64_t cols, std::int64_t run) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= cols) return;
  const std::int64_t first = blockIdx.y * run;
  const std::int64_t end = first + run < rows ? first + run : rows;
  float sum = 0;
#pragma unroll 4
  for (std::int64_t row = first; row < end; ++row) sum += to_float(dy[row * pitch + j]);
  partial[blockIdx.y * cols + j] = sum;
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    scale_kernel(T* y, std::int64_t y_pitch, T const* x, std::int64_t x_pitch, float factor,
                 T const* residual, std::int64_t residual_pitch, std::int64_t rows,
                 std::int64_t cols) {
  for_each_item(rows, cols / N, [&](std::int64_t row, std::int64_t item) {
    float v[N], add[N] = {};
    load(v, x + row * x_pitch + item * N);
    if (residual != nullptr) load(add, residual + row * residual_pitch + item * N);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = factor * v[k] + add[k];
    store(y + row * y_pitch + item * N, v);
  });
}

}  // namespace

cudaError_t add_bias(Storage type, Out y, void const* bias, In x, std::int64_t rows,
                     std::int64_t cols, cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(y, sizeof(T)) && aligned(x, sizeof(T)) &&
                         aligned({bias, 0}, sizeof(T));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, cols / N);
      return launch(add_bias_kernel<T, N>, shape.grid, shape.block, 0, stream,
                    static_cast<T*>(y.data), y.pitch, static_cast<T const*>(bias),
                    static_cast<T const*>(x.data), x.pitch, rows, cols);
    });
  });
}

cudaError_t sum_columns(Storage type, float* sum, In dy, void* workspace, std::int64_t rows,
                        std::int64_t cols, cudaStream_t stream) {
  const std::int64_t run = rows_of_run(rows), runs = div_up(rows, run);
  auto* const partial = static_cast<float*>(workspace);
  const cudaError_t error = with_storage(type, [&]<class T>(T) {
    const dim3 grid(static_cast<unsigned>(div_up(cols, kThreads)), static_cast<unsigned>(runs));
    return launch(sum_columns_kernel<T>, grid, dim3(kThreads), 0, stream, partial,
                  static_cast<T const*>(dy.data), dy.pitch, rows, cols, run);
  });
  return error != cudaSuccess ? error : sum_runs(sum, partial, runs, cols, stream);
}

cudaError_t scale(Storage type, Out y, In x, float factor, In residual, std::int64_t rows,
                  std::int64_t cols, cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(y, sizeof(T)) && aligned(x, sizeof(T)) &&
                         aligned(residual, sizeof(T));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, cols / N);
      return launch(scale_kernel<T, N>, shape.grid, shape.block, 0, stream, static_cast<T*>(y.data),
                    y.pitch, static_cast<T const*>(x.data), x.pitch, factor,
                    static_cast<T const*>(residual.data), residual.pitch, rows, cols);
    });
  });
}

}  // namespace lomo::kernels
