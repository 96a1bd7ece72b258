// RMSNorm by heads (Qwen3's of queries and keys), and its backward: the formulas of norm.cu for the
// columns of each head.
//
// Bytes: forward reads x and writes y, backward reads dy, x, residual and writes dx, once; besides
// 2 x 4 x width x runs bytes of partial sums of dw. Launch: a warp a head, eight to a block; a lane
// has columns lane, lane + 32, ... in registers, at most eight of them. Backward a block a run of
// rows, whose dw is added up by lanes over the warp's heads, then over the warps in order.
// Memory-bound.
#include "head_norm.h"

#include "block.cuh"
#include "row_runs.cuh"

namespace lomo::kernels {
namespace {

constexpr int kWarps = kThreads / 32;
constexpr int kColumns = kMaxNormedHead / 32;  // of a lane

template <class T>
struct Heads {
  T* y;
  T const *x, *w, *dy, *residual;
  float* rstd;
  float* partial;  // (runs,width) or null
  std::int64_t y_pitch, x_pitch, dy_pitch, residual_pitch;
  std::int64_t rows, heads, run;
  int width;
};

template <class T>
__global__ void __launch_bounds__(kThreads) head_norm_kernel(Heads<T> a, float eps) {
  const int lane = threadIdx.x % 32;
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (item >= a.rows * a.heads) return;  // the whole warp
  const std::int64_t row = item / a.heads, head = item % a.heads;
  T const* const from = a.x + row * a.x_pitch + head * a.width;
  float v[kColumns], squares = 0;
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
    const int j = lane + 32 * i;
    v[i] = j < a.width ? to_float(from[j]) : 0.0f;
    squares += v[i] * v[i];
  }
  squares = reduce_warp(squares, Add{});
  const float r = 1.0f / sqrtf(squares / static_cast<float>(a.width) + eps);
  if (lane == 0) a.rstd[item] = r;
  T* const to = a.y + row * a.y_pitch + head * a.width;
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
    const int j = lane + 32 * i;
    if (j < a.width) to[j] = round_to<T>(v[i] * (r * to_float(a.w[j])));
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) head_norm_backward_kernel(Heads<T> a) {
  SHARED_ARRAY(float, sums, kWarps* kMaxNormedHead);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float w[kColumns], dw[kColumns] = {};
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
    const int j = lane + 32 * i;
    w[i] = j < a.width ? to_float(a.w[j]) : 0.0f;
  }
  const std::int64_t first = blockIdx.x * a.run * a.heads;
  const std::int64_t rows_end =
      (blockIdx.x + 1) * a.run < a.rows ? (blockIdx.x + 1) * a.run : a.rows;
  for (std::int64_t item = first + warp; item < rows_end * a.heads; item += kWarps) {
    const std::int64_t row = item / a.heads, column = item % a.heads * a.width;
    T const* const up = a.dy + row * a.dy_pitch + column;
    T const* const from = a.x + row * a.x_pitch + column;
    const float r = a.rstd[item];
    float d[kColumns], u[kColumns], dot = 0;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const int j = lane + 32 * i;
      d[i] = j < a.width ? to_float(up[j]) : 0.0f;
      u[i] = j < a.width ? to_float(from[j]) * r : 0.0f;
      dot += w[i] * d[i] * u[i];
    }
    const float mean = reduce_warp(dot, Add{}) / static_cast<float>(a.width);
    T* const to = a.y + row * a.y_pitch + column;
    T const* const add =
        a.residual == nullptr ? nullptr : a.residual + row * a.residual_pitch + column;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const int j = lane + 32 * i;
      dw[i] += d[i] * u[i];
      if (j >= a.width) continue;
      const float dx = (w[i] * d[i] - u[i] * mean) * r;
      to[j] = round_to<T>(add == nullptr ? dx : to_float(add[j]) + dx);
    }
  }
  if (a.partial == nullptr) return;
#pragma unroll
  for (int i = 0; i < kColumns; ++i) sums[warp * kMaxNormedHead + lane + 32 * i] = dw[i];
  __syncthreads();
  for (int j = threadIdx.x; j < a.width; j += kThreads) {
    float sum = 0;
    for (int q = 0; q < kWarps; ++q) sum += sums[q * kMaxNormedHead + j];
    a.partial[blockIdx.x * a.width + j] = sum;
  }
}

}  // namespace

cudaError_t head_norm(Storage type, Out y, float* rstd, In x, void const* w, float eps,
                      std::int64_t rows, std::int64_t heads, std::int64_t width,
                      cudaStream_t stream) {
  if (width > kMaxNormedHead) return cudaErrorInvalidValue;
  return with_storage(type, [&]<class T>(T) {
    const Heads<T> a{.y = static_cast<T*>(y.data),
                     .x = static_cast<T const*>(x.data),
                     .w = static_cast<T const*>(w),
                     .dy = nullptr,
                     .residual = nullptr,
                     .rstd = rstd,
                     .partial = nullptr,
                     .y_pitch = y.pitch,
                     .x_pitch = x.pitch,
                     .dy_pitch = 0,
                     .residual_pitch = 0,
                     .rows = rows,
                     .heads = heads,
                     .run = 0,
                     .width = static_cast<int>(width)};
    return launch(head_norm_kernel<T>, dim3(static_cast<unsigned>(div_up(rows * heads, kWarps))),
                  dim3(kThreads), 0, stream, a, eps);
  });
}

cudaError_t head_norm_backward(Storage type, Out dx, float* dw, In dy, In x, void const* w,
                               float const* rstd, In residual, void* workspace, std::int64_t rows,
                               std::int64_t heads, std::int64_t width, cudaStream_t stream) {
  if (width > kMaxNormedHead) return cudaErrorInvalidValue;
  const std::int64_t run = rows_of_run(rows), runs = div_up(rows, run);
  auto* const partial = dw == nullptr ? nullptr : static_cast<float*>(workspace);
  const cudaError_t error = with_storage(type, [&]<class T>(T) {
    const Heads<T> a{.y = static_cast<T*>(dx.data),
                     .x = static_cast<T const*>(x.data),
                     .w = static_cast<T const*>(w),
                     .dy = static_cast<T const*>(dy.data),
                     .residual = static_cast<T const*>(residual.data),
                     .rstd = const_cast<float*>(rstd),
                     .partial = partial,
                     .y_pitch = dx.pitch,
                     .x_pitch = x.pitch,
                     .dy_pitch = dy.pitch,
                     .residual_pitch = residual.pitch,
                     .rows = rows,
                     .heads = heads,
                     .run = run,
                     .width = static_cast<int>(width)};
    return launch(head_norm_backward_kernel<T>, dim3(static_cast<unsigned>(runs)), dim3(kThreads),
                  0, stream, a);
  });
  if (error != cudaSuccess || dw == nullptr) return error;
  return sum_runs(dw, partial, runs, width, stream);
}

}  // namespace lomo::kernels
