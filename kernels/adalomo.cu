// AdaLomo's factored second moment (arXiv 2310.10195) and its update.
//
//   U_ij = g'_ij r_i c_j,   r = rsqrt(row / mean(row)),   c = rsqrt(col)
//
// Bytes an element: square_sums reads g (4), measure reads g and w, update reads g and w and writes
// w. Launch: square_sums cuts the matrix into tiles of 64 rows and 512 columns, a block of 128
// threads each, whose partial sums a second kernel adds in order; measure as in measure.cu; update
// a thread for four elements. The factors r and c are made once, in double, by a small kernel.
// Memory-bound; measure is bound by double additions on a GeForce.
//
// Built without contraction to fused multiply-adds, as the CPU engine is: an update given the same
// statistics stores the same bits.
#include "adalomo.h"

#include "apply.cuh"

namespace lomo::kernels {
namespace {

constexpr int kTileThreads = 128;
constexpr int kTileRows = kSquareRows;
constexpr int kTileColumns = kSquareColumns;
static_assert(kTileColumns == 4 * kTileThreads);

/// The scratch of measure and update: factors (rows) and (cols), then sums of chunks.
struct Scratch {
  Scratch(void* workspace, std::int64_t rows, std::int64_t cols)
      : row_factors(static_cast<float*>(workspace)),
        column_factors(row_factors + div_up(rows, 4) * 4),
        chunks(column_factors + div_up(cols, 4) * 4) {}
  float *row_factors, *column_factors;
  void* chunks;
};

/// Sums of g'^2 of a tile by row and by column. A sum has at most 64 or 512 terms, in f32.
template <int N>
__global__ void __launch_bounds__(kTileThreads)
    square_tile_kernel(float* row_sums, float* column_sums, float const* g, std::int64_t pitch,
                       ScaledGradient scaled, std::int64_t rows, std::int64_t cols) {
  SHARED_ARRAY(float, by_warp, kTileRows* kTileThreads / 32);
  constexpr int kWarps = kTileThreads / 32;
  const int thread = threadIdx.x;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * kTileRows;
  const std::int64_t first_col = static_cast<std::int64_t>(blockIdx.x) * kTileColumns;
  const int count = static_cast<int>(rows - first_row < kTileRows ? rows - first_row : kTileRows);
  float down[4] = {};
  for (int i = 0; i < count; ++i) {
    float along = 0;
#pragma unroll
    for (int part = 0; part < 4; part += N) {
      // Four columns side by side, or each 128 apart: neighbours read neighbours either way.
      const std::int64_t j = first_col + (N == 1 ? part * kTileThreads + thread : 4 * thread);
      if (j >= cols) continue;
      float x[N];
      load(x, g + (first_row + i) * pitch + j);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float d = scaled(x[k]);
        along += d * d;
        down[part + k] += d * d;
      }
    }
    along = reduce_warp(along, Add{});
    if (thread % 32 == 0) by_warp[thread / 32 * kTileRows + i] = along;
  }
#pragma unroll
  for (int part = 0; part < 4; part += N) {
    const std::int64_t j = first_col + (N == 1 ? part * kTileThreads + thread : 4 * thread);
    if (j >= cols) continue;
    if constexpr (N == 1) {
      column_sums[blockIdx.y * cols + j] = down[part];
    } else {
      store(column_sums + blockIdx.y * cols + j, down);
    }
  }
  __syncthreads();
  if (thread >= count) return;
  float total = 0;
  for (int warp = 0; warp < kWarps; ++warp) total += by_warp[warp * kTileRows + thread];
  row_sums[blockIdx.x * rows + first_row + thread] = total;
}

/// out (n) = sum of the rows of parts (count,n), in order and in double.
__global__ void __launch_bounds__(kThreads)
    sum_partials_of_kernel(float* out, float const* parts, std::int64_t n, std::int64_t count) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  double total = 0;
#pragma unroll 4
  for (std::int64_t k = 0; k < count; ++k) total += parts[k * n + i];
  out[i] = static_cast<float>(total);
}

__global__ void __launch_bounds__(kThreads)
    decay_kernel(float* state, float const* sums, float beta, float scale, float eps,
                 double const* found_inf, std::int64_t n) {
  if (blocked(found_inf)) return;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) state[i] = beta * state[i] + (1 - beta) * (scale * sums[i] + eps);
}

/// 1 / sqrt(mean), 0 where nothing was ever seen: then the gradient is 0 as well.
__device__ __forceinline__ float inverse_root(double mean) {
  return mean > 0 ? static_cast<float>(1 / sqrt(mean)) : 0.0f;
}

__global__ void __launch_bounds__(kThreads)
    factors_kernel(float* row_factors, float* column_factors, SecondMoment moment,
                   std::int64_t rows, std::int64_t cols) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < rows) {
    const double mean = *moment.row_total / static_cast<double>(moment.whole_rows);
    row_factors[i] = mean > 0 ? inverse_root(moment.row[i] / mean) : 0.0f;
  }
  if (i < cols) column_factors[i] = inverse_root(moment.col[i]);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    adalomo_statistics_kernel(Sums<2>* partial, T const* w, std::int64_t w_pitch, float const* g,
                              std::int64_t g_pitch, float const* row_factors,
                              float const* column_factors, ScaledGradient scaled,
                              std::int64_t cols) {
  sum_chunk<N>(partial, cols, [&](Sums<2>& sums, std::int64_t row, std::int64_t j) {
    float x[N], d[N], c[N];
    load(x, w + row * w_pitch + j);
    load(d, g + row * g_pitch + j);
    load(c, column_factors + j);
    const float r = row_factors[row];
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const double u = scaled(d[k]) * r * c[k];
      const double weight = x[k];
      sums.of[0] += u * u;
      sums.of[1] += weight * weight;
    }
  });
}

struct AdaLomo {
  float const* g;
  std::int64_t g_pitch;
  float const *row_factors, *column_factors;
  double const* sums;
  double numel;
  AdaLomoRule rule;
  ScaledGradient scaled;
  float rate = 0, keep = 0;

  __device__ __forceinline__ void begin() {
    const double size = sqrt(sums[1] / numel);
    const double minimum = rule.eps2;
    const double eta = rule.lr * (size > minimum ? size : minimum);
    const double excess = sqrt(sums[0] / numel) / rule.clip_threshold;
    rate = static_cast<float>(eta / (excess > 1 ? excess : 1));
    keep = static_cast<float>(1 - eta * rule.weight_decay);
  }
  template <int N>
  __device__ __forceinline__ void operator()(float (&x)[N], std::int64_t i, std::int64_t j) const {
    float d[N], c[N];
    load(d, g + i * g_pitch + j);
    load(c, column_factors + j);
    const float r = row_factors[i];
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] = x[k] * keep - rate * (scaled(d[k]) * r * c[k]);
  }
};

dim3 blocks_for(std::int64_t n) {
  return dim3(static_cast<unsigned>(div_up(n, kThreads)));
}

cudaError_t make_factors(Scratch const& scratch, SecondMoment moment, std::int64_t rows,
                         std::int64_t cols, cudaStream_t stream) {
  return launch(factors_kernel, blocks_for(std::max(rows, cols)), dim3(kThreads), 0, stream,
                scratch.row_factors, scratch.column_factors, moment, rows, cols);
}

}  // namespace

cudaError_t square_sums(float* row, float* col, In g, GradientRule gradient, void* workspace,
                        std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                        Variant variant) {
  const std::int64_t across = div_up(cols, kTileColumns), down = div_up(rows, kTileRows);
  auto* const column_sums = static_cast<float*>(workspace);  // (down,cols)
  float* const row_sums = column_sums + down * cols;         // (across,rows)
  const bool vectors =
      variant == Variant::tuned && cols % kVector<float> == 0 && aligned(g, sizeof(float));
  cudaError_t error = with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
    return launch(
        square_tile_kernel<N>, dim3(static_cast<unsigned>(across), static_cast<unsigned>(down)),
        dim3(kTileThreads), 0, stream, row_sums, column_sums, static_cast<float const*>(g.data),
        g.pitch, scaled_gradient(gradient), rows, cols);
  });
  if (error != cudaSuccess) return error;
  error = launch(sum_partials_of_kernel, blocks_for(rows), dim3(kThreads), 0, stream, row,
                 static_cast<float const*>(row_sums), rows, across);
  if (error != cudaSuccess) return error;
  return launch(sum_partials_of_kernel, blocks_for(cols), dim3(kThreads), 0, stream, col,
                static_cast<float const*>(column_sums), cols, down);
}

cudaError_t decay_average(float* state, float const* sums, float beta, float scale, float eps,
                          double const* found_inf, std::int64_t n, cudaStream_t stream) {
  return launch(decay_kernel, blocks_for(n), dim3(kThreads), 0, stream, state, sums, beta, scale,
                eps, found_inf, n);
}

cudaError_t adalomo_statistics(Storage type, double* sums, In w, In g, SecondMoment moment,
                               GradientRule gradient, void* workspace, std::int64_t rows,
                               std::int64_t cols, cudaStream_t stream, Variant variant) {
  const Scratch scratch(workspace, rows, cols);
  auto* const partial = static_cast<Sums<2>*>(scratch.chunks);
  const std::int64_t chunks = chunk_count(rows, cols);
  cudaError_t error = make_factors(scratch, moment, rows, cols, stream);
  if (error != cudaSuccess) return error;
  error = with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         aligned(w, sizeof(T)) && aligned(g, sizeof(float));
    return with_width<float>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      return launch(adalomo_statistics_kernel<T, N>, dim3(static_cast<unsigned>(chunks)),
                    chunk_block(cols, N), 0, stream, partial, static_cast<T const*>(w.data),
                    w.pitch, static_cast<float const*>(g.data), g.pitch,
                    static_cast<float const*>(scratch.row_factors),
                    static_cast<float const*>(scratch.column_factors), scaled_gradient(gradient),
                    cols);
    });
  });
  if (error != cudaSuccess) return error;
  return add_chunks<2>(sums, partial, chunks, stream);
}

cudaError_t adalomo_update(Storage type, Out w, In g, double const* sums, SecondMoment moment,
                           AdaLomoRule rule, GradientRule gradient, RoundingRule rounding,
                           double const* found_inf, void* workspace, std::int64_t rows,
                           std::int64_t cols, cudaStream_t stream, Variant variant) {
  const Scratch scratch(workspace, rows, cols);
  const cudaError_t error = make_factors(scratch, moment, rows, cols, stream);
  if (error != cudaSuccess) return error;
  const AdaLomo adalomo{static_cast<float const*>(g.data),
                        g.pitch,
                        scratch.row_factors,
                        scratch.column_factors,
                        sums,
                        static_cast<double>(moment.whole_numel),
                        rule,
                        scaled_gradient(gradient)};
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && cols % kVector<T> == 0 &&
                         rounding.first % 4 == 0 && aligned(w, sizeof(T)) &&
                         aligned(g, sizeof(float));
    const Weights<T> weights{
        static_cast<T*>(w.data), w.pitch, rows, cols, rounding, found_inf, nullptr};
    return apply(weights, adalomo, vectors, scratch.chunks, stream);
  });
}

}  // namespace lomo::kernels
