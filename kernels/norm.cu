// RMSNorm, and its backward with the residual's gradient added.
//
//   u = x rstd,   y = u w,   rstd = 1 / sqrt(mean(x^2) + eps)
//   dx = residual + rstd (w dy - u mean(w dy u)),   dw = sum over rows of dy u
//
// Bytes: forward reads x and writes y once (the second reading of a row comes from the cache).
// Backward reads dy, x, residual and writes dx once, and besides 2 x 4 x cols x runs bytes of
// partial sums of dw. Launch: forward a block of 256 threads a row. Backward a block a run of rows;
// each thread owns the same columns in all its rows, so the run's dw needs neither atomics nor
// barriers in shared memory. Runs are at most 256 and depend on the rows alone. Memory-bound.
#include "norm.h"

#include "block.cuh"
#include "launch.cuh"
#include "planes.cuh"
#include "row_runs.cuh"

namespace lomo::kernels {
namespace {

/// Columns whose sums a block holds: of most models, and as many as need no opting in.
constexpr int kFewColumns = 4096;
constexpr int kMaxColumns = 11 * 1024;

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    rmsnorm_kernel(T* y, std::int64_t y_pitch, float* rstd, T const* x, std::int64_t x_pitch,
                   T const* w, float eps, std::int64_t cols) {
  SHARED_ARRAY(float, scratch, kThreads / 32);
  const std::int64_t row = blockIdx.x;
  const int thread = threadIdx.x;
  T const* const from = x + row * x_pitch;
  float squares = 0;
  for (std::int64_t j = static_cast<std::int64_t>(thread) * N; j < cols; j += kThreads * N) {
    float v[N];
    load(v, from + j);
#pragma unroll
    for (int k = 0; k < N; ++k) squares += v[k] * v[k];
  }
  squares = reduce_block(squares, scratch, Add{});
  const float r = 1.0f / sqrtf(squares / static_cast<float>(cols) + eps);
  if (thread == 0) rstd[row] = r;
  for (std::int64_t j = static_cast<std::int64_t>(thread) * N; j < cols; j += kThreads * N) {
    float v[N], weight[N];
    load(v, from + j);
    load(weight, w + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= r * weight[k];
    store(y + row * y_pitch + j, v);
  }
}

template <int kColumns>
struct ColumnSums {
  float of[kColumns + kPlanePadding];
};

template <class T>
struct NormGradient {
  T* dx;
  float* partial;  // (runs,cols) or null
  T const *dy, *x, *w, *residual;
  float const* rstd;
  std::int64_t dx_pitch, dy_pitch, x_pitch, residual_pitch;
  std::int64_t rows, cols, run;
};

template <class T, int N, int kColumns>
__global__ void __launch_bounds__(kThreads) rmsnorm_backward_kernel(NormGradient<T> a) {
  DYN_SHARED(ColumnSums<kColumns>, sums);
  SHARED_ARRAY(float, scratch, kThreads / 32);
  const int thread = threadIdx.x;
  const int cols = static_cast<int>(a.cols);
  const int start = thread * N;
  const std::int64_t first = blockIdx.x * a.run;
  const std::int64_t end = first + a.run < a.rows ? first + a.run : a.rows;
  if (a.partial != nullptr) {
    const float none[N] = {};
    for (int j = start; j < cols; j += kThreads * N) store_planes(sums.of, none, j, cols);
  }
  for (std::int64_t row = first; row < end; ++row) {
    T const* const up = a.dy + row * a.dy_pitch;
    T const* const from = a.x + row * a.x_pitch;
    const float r = a.rstd[row];
    float dot = 0;
    for (int j = start; j < cols; j += kThreads * N) {
      float d[N], u[N], w[N];
      load(d, up + j);
      load(u, from + j);
      load(w, a.w + j);
#pragma unroll
      for (int k = 0; k < N; ++k) dot += w[k] * d[k] * (u[k] * r);
    }
    const float mean = reduce_block(dot, scratch, Add{}) / static_cast<float>(a.cols);
    for (int j = start; j < cols; j += kThreads * N) {
      float d[N], u[N], w[N], add[N] = {};
      load(d, up + j);
      load(u, from + j);
      load(w, a.w + j);
      if (a.residual != nullptr) load(add, a.residual + row * a.residual_pitch + j);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float scaled = u[k] * r;
        add[k] += (w[k] * d[k] - scaled * mean) * r;
        d[k] *= scaled;
      }
      if (a.partial != nullptr) {
        float sum[N];
        load_planes(sum, sums.of, j, cols);
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] += d[k];
        store_planes(sums.of, sum, j, cols);
      }
      store(a.dx + row * a.dx_pitch + j, add);
    }
  }
  if (a.partial == nullptr) return;
  float* const partial = a.partial + blockIdx.x * a.cols;
  if constexpr (N == 1) {
    for (int j = start; j < cols; j += kThreads) partial[j] = sums.of[j];
  } else {
    __syncthreads();  // the sums of other threads
    for (int j = 4 * thread; j < cols; j += 4 * kThreads) {
      float sum[4];
      load(sum, &sums.of[place<N>(j, cols)]);
      store(partial + j, sum);
    }
  }
}

/// partial of a run by threads that each own a column: for rows too wide for shared memory.
template <class T>
__global__ void __launch_bounds__(kThreads) wide_partial_kernel(NormGradient<T> a) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= a.cols) return;
  const std::int64_t first = blockIdx.y * a.run;
  const std::int64_t end = first + a.run < a.rows ? first + a.run : a.rows;
  float sum = 0;
  for (std::int64_t row = first; row < end; ++row) {
    sum +=
        to_float(a.dy[row * a.dy_pitch + j]) * (to_float(a.x[row * a.x_pitch + j]) * a.rstd[row]);
  }
  a.partial[blockIdx.y * a.cols + j] = sum;
}

}  // namespace

cudaError_t rmsnorm(Storage type, Out y, float* rstd, In x, void const* w, float eps,
                    std::int64_t rows, std::int64_t cols, cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(y, sizeof(T)) && aligned(x, sizeof(T)) &&
                         aligned({w, 0}, sizeof(T));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      return launch(rmsnorm_kernel<T, N>, dim3(static_cast<unsigned>(rows)), dim3(kThreads), 0,
                    stream, static_cast<T*>(y.data), y.pitch, rstd, static_cast<T const*>(x.data),
                    x.pitch, static_cast<T const*>(w), eps, cols);
    });
  });
}

cudaError_t rmsnorm_backward(Storage type, Out dx, float* dw, In dy, In x, void const* w,
                             float const* rstd, In residual, void* workspace, std::int64_t rows,
                             std::int64_t cols, cudaStream_t stream, Variant variant) {
  const std::int64_t run = rows_of_run(rows);
  const auto runs = static_cast<unsigned>(div_up(rows, run));
  const bool shared = variant == Variant::tuned && cols <= kMaxColumns;
  auto* const partial = dw == nullptr ? nullptr : static_cast<float*>(workspace);
  const cudaError_t error = with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(dx, sizeof(T)) && aligned(dy, sizeof(T)) &&
                         aligned(x, sizeof(T)) && aligned({w, 0}, sizeof(T)) &&
                         aligned(residual, sizeof(T)) && aligned({workspace, 0}, sizeof(float));
    NormGradient<T> a{static_cast<T*>(dx.data),
                      partial,
                      static_cast<T const*>(dy.data),
                      static_cast<T const*>(x.data),
                      static_cast<T const*>(w),
                      static_cast<T const*>(residual.data),
                      rstd,
                      dx.pitch,
                      dy.pitch,
                      x.pitch,
                      residual.pitch,
                      rows,
                      cols,
                      run};
    if (partial != nullptr && !shared) {  // before dx, which may overwrite dy
      const cudaError_t failed =
          launch(wide_partial_kernel<T>, dim3(static_cast<unsigned>(div_up(cols, kThreads)), runs),
                 dim3(kThreads), 0, stream, a);
      if (failed != cudaSuccess) return failed;
      a.partial = nullptr;
    }
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const auto run_with = [&]<int kColumns>(std::integral_constant<int, kColumns>) {
        return launch(rmsnorm_backward_kernel<T, N, kColumns>, dim3(runs), dim3(kThreads),
                      sizeof(ColumnSums<kColumns>), stream, a);
      };
      if (a.partial == nullptr || cols <= kFewColumns) {
        return run_with(std::integral_constant<int, kFewColumns>{});
      }
      return run_with(std::integral_constant<int, kMaxColumns>{});
    });
  });
  if (error != cudaSuccess || dw == nullptr) return error;
  return sum_runs(dw, partial, runs, cols, stream);
}

}  // namespace lomo::kernels
