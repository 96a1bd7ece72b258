// Updates of weights, element by element: SGD (LOMO), momentum, AdamW.
//
// Bytes an element: SGD reads g (4) and w (2 or 4) and writes w; momentum reads and writes g and m
// (16); AdamW reads g, m, v, w and writes m, v, w (20 + 4, 20 + 8). Launch: a thread for 16 bytes
// of w, blocks of 256; dense matrices count as one long row. Memory-bound; stochastic rounding adds
// about 25 integer operations an element.
//
// Built without contraction to fused multiply-adds, as the CPU engine is: the same bits.
#include "update.h"

#include "gradient.cuh"
#include "launch.cuh"
#include "rounding.cuh"

namespace lomo::kernels {
namespace {

struct Sgd {
  float lr, keep;
  ScaledGradient scaled;
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(T* w, std::int64_t w_pitch, float const* g, std::int64_t g_pitch, Sgd sgd,
               RoundingRule rounding, double const* guard, std::int32_t const* listed,
               std::int64_t rows, std::int64_t cols) {
  if (forbidden(guard)) return;
  for_each_item(rows, cols / N, [&](std::int64_t i, std::int64_t item) {
    const std::int64_t row = listed == nullptr ? i : listed[i];
    T* const at = w + row * w_pitch + item * N;
    float x[N], d[N];
    load(x, at);
    load(d, g + i * g_pitch + item * N);
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] = x[k] * sgd.keep - sgd.lr * sgd.scaled(d[k]);
    store_rounded(at, x, rounding, rounding.first + row * cols + item * N);
  });
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    momentum_kernel(float* m, std::int64_t m_pitch, float* g, std::int64_t g_pitch, float momentum,
                    ScaledGradient scaled, double const* guard, std::int64_t rows,
                    std::int64_t cols) {
  if (forbidden(guard)) return;
  for_each_item(rows, cols / N, [&](std::int64_t row, std::int64_t item) {
    float mean[N], grad[N];
    load(mean, m + row * m_pitch + item * N);
    load(grad, g + row * g_pitch + item * N);
#pragma unroll
    for (int k = 0; k < N; ++k) mean[k] = momentum * mean[k] + scaled(grad[k]);
    store(m + row * m_pitch + item * N, mean);
    store(g + row * g_pitch + item * N, mean);
  });
}

template <class T>
struct Adam {
  T* w;
  float *m, *v;
  float const* g;
  std::int64_t w_pitch, m_pitch, v_pitch, g_pitch, rows, cols;
  AdamRule rule;
  ScaledGradient scaled;
  RoundingRule rounding;
  double const* guard;
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) adamw_kernel(Adam<T> a) {
  if (forbidden(a.guard)) return;
  for_each_item(a.rows, a.cols / N, [&](std::int64_t row, std::int64_t item) {
    const std::int64_t j = item * N;
    float x[N], m[N], v[N], g[N];
    load(x, a.w + row * a.w_pitch + j);
    load(m, a.m + row * a.m_pitch + j);
    load(v, a.v + row * a.v_pitch + j);
    load(g, a.g + row * a.g_pitch + j);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float grad = a.scaled(g[k]);
      m[k] = a.rule.beta1 * m[k] + (1 - a.rule.beta1) * grad;
      v[k] = a.rule.beta2 * v[k] + (1 - a.rule.beta2) * (grad * grad);
      x[k] = x[k] * a.rule.keep - a.rule.lr * m[k] / (sqrtf(v[k] * a.rule.correct) + a.rule.eps);
    }
    store(a.m + row * a.m_pitch + j, m);
    store(a.v + row * a.v_pitch + j, v);
    store_rounded(a.w + row * a.w_pitch + j, x, a.rounding, a.rounding.first + row * a.cols + j);
  });
}

}  // namespace

cudaError_t sgd_update(Storage type, Out w, In g, float lr, float keep, GradientRule gradient,
                       RoundingRule rounding, double const* guard, std::int32_t const* rows,
                       std::int64_t count, std::int64_t cols, cudaStream_t stream,
                       Variant variant) {
  if (rows == nullptr && w.pitch == cols && g.pitch == cols) {
    cols *= count;
    count = 1;
  }
  const Sgd sgd{lr, keep, ScaledGradient(gradient)};
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         rounding.first % 4 == 0 && aligned(w, sizeof(T)) &&
                         aligned(g, sizeof(float));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(count, cols / N);
      return launch(sgd_kernel<T, N>, shape.grid, shape.block, 0, stream, static_cast<T*>(w.data),
                    w.pitch, static_cast<float const*>(g.data), g.pitch, sgd, rounding, guard, rows,
                    count, cols);
    });
  });
}

cudaError_t momentum_update(Out m, Out g, float momentum, GradientRule gradient,
                            double const* guard, std::int64_t rows, std::int64_t cols,
                            cudaStream_t stream, Variant variant) {
  if (m.pitch == cols && g.pitch == cols) {
    cols *= rows;
    rows = 1;
  }
  const bool vectors = variant == Variant::tuned && cols % kVector<float> == 0 &&
                       aligned(m, sizeof(float)) && aligned(g, sizeof(float));
  return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    const RowGrid shape(rows, cols / N);
    return launch(momentum_kernel<N>, shape.grid, shape.block, 0, stream,
                  static_cast<float*>(m.data), m.pitch, static_cast<float*>(g.data), g.pitch,
                  momentum, ScaledGradient(gradient), guard, rows, cols);
  });
}

cudaError_t adamw_update(Storage type, Out w, Out m, Out v, In g, AdamRule adam,
                         GradientRule gradient, RoundingRule rounding, double const* guard,
                         std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                         Variant variant) {
  if (w.pitch == cols && m.pitch == cols && v.pitch == cols && g.pitch == cols) {
    cols *= rows;
    rows = 1;
  }
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         rounding.first % 4 == 0 && aligned(w, sizeof(T)) &&
                         aligned(m, sizeof(float)) && aligned(v, sizeof(float)) &&
                         aligned(g, sizeof(float));
    const Adam<T> a{static_cast<T*>(w.data),
                    static_cast<float*>(m.data),
                    static_cast<float*>(v.data),
                    static_cast<float const*>(g.data),
                    w.pitch,
                    m.pitch,
                    v.pitch,
                    g.pitch,
                    rows,
                    cols,
                    adam,
                    ScaledGradient(gradient),
                    rounding,
                    guard};
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, cols / N);
      return launch(adamw_kernel<T, N>, shape.grid, shape.block, 0, stream, a);
    });
  });
}

}  // namespace lomo::kernels
