// Row lists made on the host: gather, scatter, sums over equal ids, addition to a tile.
//
// Bytes: gather and scatter read and write each listed row once; sum_rows reads dy once and writes
// out once; add_rows reads u and reads and writes the rows it adds to. Launch: a thread for every
// 16 bytes of a row (of the sums in sum_rows), blocks of 256. sum_rows gives each thread its
// columns of a whole segment, so that the order of the sum is the order of the list and no atomics
// are needed. Memory-bound.
#include "rows.h"

#include "launch.cuh"

namespace lomo::kernels {
namespace {

/// Rows of units of 16, 8, 4 or 2 bytes, pitches in units.
template <class Unit>
__global__ void __launch_bounds__(kThreads)
    gather_kernel(Unit* y, std::int64_t y_pitch, Unit const* x, std::int64_t x_pitch,
                  std::int32_t const* index, std::int64_t rows, std::int64_t units) {
  for_each_item(rows, units, [&](std::int64_t row, std::int64_t unit) {
    copy_unit(y + row * y_pitch + unit, x + index[row] * x_pitch + unit);
  });
}

template <class Unit>
__global__ void __launch_bounds__(kThreads)
    scatter_kernel(Unit* y, std::int64_t y_pitch, Unit const* x, std::int64_t x_pitch,
                   std::int32_t const* index, std::int64_t rows, std::int64_t units) {
  for_each_item(rows, units, [&](std::int64_t row, std::int64_t unit) {
    copy_unit(y + index[row] * y_pitch + unit, x + row * x_pitch + unit);
  });
}

/// f(Unit{}, elements in a unit).
template <class F>
cudaError_t with_unit(int element_bytes, Out y, In x, std::int64_t cols, Variant variant, F&& f) {
  if (variant == Variant::tuned && cols * element_bytes % 16 == 0 && aligned(y, element_bytes) &&
      aligned(x, element_bytes)) {
    return f(uint4{}, 16 / element_bytes);
  }
  switch (element_bytes) {
    case 2:
      return f(std::uint16_t{}, 1);
    case 4:
      return f(std::uint32_t{}, 1);
    case 8:
      return f(std::uint64_t{}, 1);
    default:
      return cudaErrorInvalidValue;
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    sum_rows_kernel(float* out, std::int64_t out_pitch, T const* dy, std::int64_t pitch,
                    std::int32_t const* order, std::int32_t const* segments, std::int64_t count,
                    std::int64_t items) {
  for_each_item(count, items, [&](std::int64_t segment, std::int64_t item) {
    float sum[N] = {};
    const std::int32_t end = segments[segment + 1];
#pragma unroll 4
    for (std::int32_t i = segments[segment]; i < end; ++i) {
      float x[N];
      load(x, dy + order[i] * pitch + item * N);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += x[k];
    }
    store(out + segment * out_pitch + item * N, sum);
  });
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    add_rows_kernel(float* g, std::int64_t g_pitch, float const* u, std::int64_t u_pitch,
                    std::int32_t const* index, std::int64_t first, std::int64_t tile,
                    std::int64_t rows, std::int64_t items) {
  for_each_item(rows, items, [&](std::int64_t i, std::int64_t item) {
    const std::int64_t row = index[i] - first;
    if (row < 0 || row >= tile) return;
    float* const at = g + row * g_pitch + item * N;
    float sum[N], term[N];
    load(sum, at);
    load(term, u + i * u_pitch + item * N);
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] += term[k];
    store(at, sum);
  });
}

}  // namespace

cudaError_t gather_rows(int element_bytes, Out y, In x, std::int32_t const* index,
                        std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                        Variant variant) {
  return with_unit(element_bytes, y, x, cols, variant, [&]<class Unit>(Unit, int n) {
    const RowGrid shape(rows, cols / n);
    return launch(gather_kernel<Unit>, shape.grid, shape.block, 0, stream,
                  static_cast<Unit*>(y.data), y.pitch / n, static_cast<Unit const*>(x.data),
                  x.pitch / n, index, rows, cols / n);
  });
}

cudaError_t scatter_rows(int element_bytes, Out y, In x, std::int32_t const* index,
                         std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                         Variant variant) {
  return with_unit(element_bytes, y, x, cols, variant, [&]<class Unit>(Unit, int n) {
    const RowGrid shape(rows, cols / n);
    return launch(scatter_kernel<Unit>, shape.grid, shape.block, 0, stream,
                  static_cast<Unit*>(y.data), y.pitch / n, static_cast<Unit const*>(x.data),
                  x.pitch / n, index, rows, cols / n);
  });
}

cudaError_t sum_rows(Storage type, Out out, In dy, std::int32_t const* order,
                     std::int32_t const* segments, std::int64_t count, std::int64_t cols,
                     cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(out, sizeof(float)) && aligned(dy, sizeof(T));
    return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(count, cols / N);
      return launch(sum_rows_kernel<T, N>, shape.grid, shape.block, 0, stream,
                    static_cast<float*>(out.data), out.pitch, static_cast<T const*>(dy.data),
                    dy.pitch, order, segments, count, cols / N);
    });
  });
}

cudaError_t add_rows(Out g, In u, std::int32_t const* index, std::int64_t first, std::int64_t tile,
                     std::int64_t rows, std::int64_t cols, cudaStream_t stream, Variant variant) {
  const bool vectors = variant == Variant::tuned && cols % kVector<float> == 0 &&
                       aligned(g, sizeof(float)) && aligned(u, sizeof(float));
  return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    const RowGrid shape(rows, cols / N);
    return launch(add_rows_kernel<N>, shape.grid, shape.block, 0, stream,
                  static_cast<float*>(g.data), g.pitch, static_cast<float const*>(u.data), u.pitch,
                  index, first, tile, rows, cols / N);
  });
}

}  // namespace lomo::kernels
