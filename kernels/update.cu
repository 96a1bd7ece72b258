// Updates of weights, element by element: SGD (LOMO), momentum, AdamW.
//
// Bytes an element: SGD reads g (4, or 2 or 4 for each rank that gave a part) and w (2 or 4) and
// writes w; momentum reads and writes g and m
// (16); AdamW reads g, m, v, w and writes m, v, w (20 + 4, 20 + 8). Launch: a thread for four
// elements, blocks of 256; dense matrices count as one long row. Memory-bound; stochastic rounding
// adds about 25 integer operations an element. With rounding statistics a block takes a chunk
// of a row instead, and sums in double.
//
// The arithmetic of an element is that of update_formulas.h, which the CPU engine has too.
#include "update.h"

#include "apply.cuh"

namespace lomo::kernels {
namespace {

struct WholeGradient {
  float const* g;
  std::int64_t g_pitch;
  formulas::Sgd sgd;
  ScaledGradient scaled;

  __device__ __forceinline__ void begin() {}
  template <int N>
  __device__ __forceinline__ void operator()(float (&x)[N], std::int64_t i, std::int64_t j) const {
    float d[N];
    load(d, g + i * g_pitch + j);
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] = sgd(x[k], scaled(d[k]));
  }
};

/// The same of the sum of partial sums of ranks, `stride` elements from one to the next.
template <class P>
struct PartialGradients {
  P const* partials;
  std::int64_t pitch, stride, ranks;
  formulas::Sgd sgd;
  ScaledGradient scaled;

  __device__ __forceinline__ void begin() {}
  template <int N>
  __device__ __forceinline__ void operator()(float (&x)[N], std::int64_t i, std::int64_t j) const {
    float sum[N] = {};
    P const* at = partials + i * pitch + j;
#pragma unroll 4
    for (std::int64_t q = 0; q < ranks; ++q, at += stride) {
      float d[N];
      load(d, at);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += d[k];
    }
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] = sgd(x[k], scaled(sum[k]));
  }
};

struct AdamUpdate {
  float *m, *v;
  float const* g;
  std::int64_t m_pitch, v_pitch, g_pitch;
  formulas::AdamW adamw;
  ScaledGradient scaled;

  __device__ __forceinline__ void begin() {}
  template <int N>
  __device__ __forceinline__ void operator()(float (&x)[N], std::int64_t i, std::int64_t j) const {
    float mean[N], square[N], d[N];
    load(mean, m + i * m_pitch + j);
    load(square, v + i * v_pitch + j);
    load(d, g + i * g_pitch + j);
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] = adamw(x[k], mean[k], square[k], scaled(d[k]));
    store(m + i * m_pitch + j, mean);
    store(v + i * v_pitch + j, square);
  }
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    momentum_kernel(float* m, std::int64_t m_pitch, float* g, std::int64_t g_pitch, float momentum,
                    ScaledGradient scaled, double const* found_inf, std::int64_t rows,
                    std::int64_t cols) {
  if (blocked(found_inf)) return;
  for_each_item(rows, cols / N, [&](std::int64_t row, std::int64_t item) {
    float mean[N], grad[N];
    load(mean, m + row * m_pitch + item * N);
    load(grad, g + row * g_pitch + item * N);
#pragma unroll
    for (int k = 0; k < N; ++k) mean[k] = formulas::momentum(mean[k], scaled(grad[k]), momentum);
    store(m + row * m_pitch + item * N, mean);
    store(g + row * g_pitch + item * N, mean);
  });
}

}  // namespace

cudaError_t sgd_update(Storage type, Out w, SgdGradient gradient, float lr, float keep,
                       GradientRule how, RoundingRule rounding, double const* found_inf,
                       std::int32_t const* rows, void* workspace, std::int64_t count,
                       std::int64_t cols, cudaStream_t stream, Variant variant) {
  const In g = gradient.data;
  const std::int64_t stride = count * g.pitch;  // from a rank's part to the next
  if (rows == nullptr && w.pitch == cols && g.pitch == cols) {
    cols *= count;
    count = 1;
  }
  const ScaledGradient scaled = scaled_gradient(how);
  return with_storage(type, [&]<class T>(T) {
    const Weights<T> weights{
        static_cast<T*>(w.data), w.pitch, count, cols, rounding, found_inf, rows};
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         rounding.first % 4 == 0 && aligned(w, sizeof(T));
    if (gradient.ranks == 0) {
      const WholeGradient rule{static_cast<float const*>(g.data), g.pitch, {lr, keep}, scaled};
      return apply(weights, rule, vectors && aligned(g, sizeof(float)), workspace, stream);
    }
    const auto of_ranks = [&]<class P>(P) {
      const PartialGradients<P> rule{
          static_cast<P const*>(g.data), g.pitch, stride, gradient.ranks, {lr, keep}, scaled};
      return apply(weights, rule, vectors && aligned(g, sizeof(P)), workspace, stream);
    };
    if (gradient.type == Storage::f32) return of_ranks(float{});
    if (gradient.type == Storage::bf16) return of_ranks(bf16{});
    return cudaErrorInvalidValue;
  });
}

cudaError_t momentum_update(Out m, Out g, float momentum, GradientRule gradient,
                            double const* found_inf, std::int64_t rows, std::int64_t cols,
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
                  momentum, scaled_gradient(gradient), found_inf, rows, cols);
  });
}

cudaError_t adamw_update(Storage type, Out w, Out m, Out v, In g, AdamRule adam,
                         GradientRule gradient, RoundingRule rounding, double const* found_inf,
                         void* workspace, std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                         Variant variant) {
  if (w.pitch == cols && m.pitch == cols && v.pitch == cols && g.pitch == cols) {
    cols *= rows;
    rows = 1;
  }
  const AdamUpdate rule{static_cast<float*>(m.data),
                        static_cast<float*>(v.data),
                        static_cast<float const*>(g.data),
                        m.pitch,
                        v.pitch,
                        g.pitch,
                        {adam.lr, adam.keep, adam.beta1, adam.beta2, adam.eps, adam.correct},
                        scaled_gradient(gradient)};
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         rounding.first % 4 == 0 && aligned(w, sizeof(T)) &&
                         aligned(m, sizeof(float)) && aligned(v, sizeof(float)) &&
                         aligned(g, sizeof(float));
    const Weights<T> weights{
        static_cast<T*>(w.data), w.pitch, rows, cols, rounding, found_inf, nullptr};
    return apply(weights, rule, vectors, workspace, stream);
  });
}

}  // namespace lomo::kernels
