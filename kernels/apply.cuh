#pragma once
// How a rule is applied to weights, with and without rounding statistics made of it. A rule is
// a functor: `begin()` once a thread, then rule(x, i, j) turns N weights from column j of row i on
// into the updated ones.
#include "chunks.cuh"
#include "gradient.cuh"
#include "rounding.cuh"

namespace lomo::kernels {

template <class T>
struct Weights {
  T* data;
  std::int64_t pitch, rows, cols;
  RoundingRule rounding;
  double const* found_inf;
  std::int32_t const* listed;  // row of the weights for each row of the gradient, or null

  __device__ __forceinline__ std::int64_t row(std::int64_t i) const {
    return listed == nullptr ? i : listed[i];
  }
  __device__ __forceinline__ std::int64_t index(std::int64_t row, std::int64_t col) const {
    return rounding.first + row * cols + col;
  }
};

/// A thread for N weights.
template <class T, int N, class Rule>
__global__ void __launch_bounds__(kThreads) update_kernel(Weights<T> w, Rule rule) {
  if (blocked(w.found_inf)) return;
  rule.begin();
  for_each_item(w.rows, w.cols / N, [&](std::int64_t i, std::int64_t item) {
    const std::int64_t row = w.row(i);
    T* const at = w.data + row * w.pitch + item * N;
    float x[N];
    load(x, at);
    rule(x, i, item * N);
    store_rounded(at, x, w.rounding, w.index(row, item * N));
  });
}

/// The same bits, a block for a chunk of a row; see RoundingRule::rounding_stats.
template <class T, int N, class Rule>
__global__ void __launch_bounds__(kThreads)
    rounding_stats_kernel(Sums<4>* partial, Weights<T> w, Rule rule) {
  const bool stays = blocked(w.found_inf);
  rule.begin();
  sum_chunk<N>(partial, w.cols, [&](Sums<4>& sums, std::int64_t i, std::int64_t j) {
    if (stays) return;
    const std::int64_t row = w.row(i);
    T* const at = w.data + row * w.pitch + j;
    float old[N], x[N], now[N];
    load(old, at);
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] = old[k];
    rule(x, i, j);
    store_rounded(at, x, w.rounding, w.index(row, j));
    load(now, at);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const double step = x[k] - old[k];
      const double moved = now[k] - old[k];
      if (x[k] != old[k]) sums.of[0] += 1;
      if (now[k] != old[k]) sums.of[1] += 1;
      sums.of[2] += moved * step;
      sums.of[3] += step * step;
    }
  });
}

/// `workspace` serves the rounding statistics, if one is wanted. Vectors: four weights, which are
/// 16 bytes of the gradient.
template <class T, class Rule>
cudaError_t apply(Weights<T> const& w, Rule const& rule, bool vectors, void* workspace,
                  cudaStream_t stream) {
  return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    if (w.rounding.rounding_stats == nullptr) {
      const RowGrid shape(w.rows, w.cols / N);
      return launch(update_kernel<T, N, Rule>, shape.grid, shape.block, 0, stream, w, rule);
    }
    auto* const partial = static_cast<Sums<4>*>(workspace);
    const std::int64_t chunks = chunk_count(w.rows, w.cols);
    const cudaError_t error =
        launch(rounding_stats_kernel<T, N, Rule>, dim3(static_cast<unsigned>(chunks)),
               chunk_block(w.cols, N), 0, stream, partial, w, rule);
    if (error != cudaSuccess) return error;
    return add_chunks<4>(w.rounding.rounding_stats, partial, chunks, stream);
  });
}

}  // namespace lomo::kernels
