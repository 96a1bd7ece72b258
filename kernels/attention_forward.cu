// Tiled attention, forward, head widths 64, 80, 96 and 128.
//
//   S = Q K^T scale,   P = e^(S - max),   out = P V / sum P,   lse = max + log sum P
//
// Bytes: reads q once, writes out and lse once, reads k and v once for every 64 queries (from the
// cache for most). Flops: 4 x width a visible pair, on tensor cores. Launch: a block of four warps
// for 64 query rows of a sequence and a head; a warp owns 16 rows of scores and of the output in
// registers. Late tiles of a sequence, which see the most keys, come first. Keys go by in tiles of
// 64: the values of a tile are copied while its scores are computed, the keys of the next while the
// values are multiplied. Scores are kept in powers of two. Compute-bound.
#include "attention_parts.cuh"
#include "tile.cuh"

namespace lomo::kernels {
namespace {

constexpr int kBlock = 128;
constexpr int kQueries = 64;
constexpr int kKeys = 64;

template <int kWidth>
struct ForwardShared {
  Tile<kKeys, kWidth> k;
  Tile<kKeys, kWidth> v;  // first the queries
  std::int32_t positions[2][kKeys];
};

/// Largest of a row that lies in four neighbouring lanes; a NaN is left out.
__device__ __forceinline__ float max_of_row(float x) {
#pragma unroll
  for (int stride = 1; stride < 4; stride *= 2) {
    const float other = __shfl_xor_sync(kAllLanes, x, stride);
    x = other > x ? other : x;
  }
  return x;
}
__device__ __forceinline__ float sum_of_row(float x) {
#pragma unroll
  for (int stride = 1; stride < 4; stride *= 2) x += __shfl_xor_sync(kAllLanes, x, stride);
  return x;
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kBlock) forward_kernel(AttentionForward<T> a) {
  DYN_SHARED(ForwardShared<kWidth>, shared);
  SHARED_ARRAY(int, scratch, kBlock / 32);
  const int thread = threadIdx.x;
  const int lane = thread % 32;
  const int own = thread / 32 * 16;  // first row of the warp
  const auto sequences = static_cast<unsigned>(a.shape.sequences);
  const int sequence = static_cast<int>(blockIdx.x % sequences);
  const std::int64_t q_start = a.q_rows.starts[sequence];
  const int queries = static_cast<int>(a.q_rows.starts[sequence + 1] - q_start);
  const int first =
      ((queries + kQueries - 1) / kQueries - 1 - static_cast<int>(blockIdx.x / sequences)) *
      kQueries;
  if (first < 0 || queries == 0) return;
  const int head = static_cast<int>(blockIdx.y);
  const int column = head / group_of(a.shape) * kWidth;
  const std::int64_t k_start = a.k_rows.starts[sequence];
  const int keys = static_cast<int>(a.k_rows.starts[sequence + 1] - k_start);
  std::int32_t const* const q_positions = a.q_rows.positions + q_start;
  std::int32_t const* const k_positions = a.k_rows.positions + k_start;
  T const* const q = a.q + (q_start + first) * a.q_pitch + head * kWidth;
  T const* const k = a.k + k_start * a.k_pitch + column;
  T const* const v = a.v + k_start * a.v_pitch + column;

  const auto position_of = [&](int row) {  // rows past the end repeat the last
    const int at = first + row;
    return q_positions[at < queries ? at : queries - 1];
  };
  const auto fill_keys = [&](int tile) {
    const int left = keys - tile * kKeys;
    shared.k.template fill<kBlock>(k + tile * kKeys * a.k_pitch, a.k_pitch, left);
    if (thread < kKeys) {
      shared.positions[tile % 2][thread] =
          thread < left ? k_positions[tile * kKeys + thread] : INT32_MAX;
    }
    ptx::cp_async_commit();
  };

  shared.v.template fill<kBlock>(q, a.q_pitch, queries - first);
  ptx::cp_async_commit();
  const int limit = reduce_block(position_of(thread % kQueries), scratch, Max{});
  const int passed =  // by the windows of all queries
      reduce_block(position_of(thread % kQueries), scratch, Min{}) - a.shape.window;
  int seen = 0, first_seen = keys;  // keys that any query sees: one past the last, the first
  for (int j = thread; j < keys; j += kBlock) {
    if (k_positions[j] <= limit) seen = j + 1;
    if (k_positions[j] > passed && j < first_seen) first_seen = j;
  }
  const int tiles = (reduce_block(seen, scratch, Max{}) + kKeys - 1) / kKeys;
  const int first_tile = reduce_block(first_seen, scratch, Min{}) / kKeys;
  if (first_tile < tiles) {
    fill_keys(first_tile);
    ptx::cp_async_wait<1>();
  } else {
    ptx::cp_async_wait<0>();
  }
  __syncthreads();
  std::uint32_t query[kWidth / 16][4];
#pragma unroll
  for (int step = 0; step < kWidth / 16; ++step) shared.v.left(query[step], own, step);

  const std::int32_t position[2] = {position_of(own + lane / 4), position_of(own + lane / 4 + 8)};
  const int minimum = reduce_warp(position[0] < position[1] ? position[0] : position[1], Min{});
  const int oldest =
      reduce_warp(position[0] < position[1] ? position[1] : position[0], Max{}) - a.shape.window;
  const float scale = a.shape.scale * kLog2e;
  float max[2] = {minus_infinity(), minus_infinity()};
  float sum[2] = {};  // of this lane's columns
  float out[kWidth / 8][4] = {};

  for (int tile = first_tile; tile < tiles; ++tile) {
    ptx::cp_async_wait<0>();
    __syncthreads();
    shared.v.template fill<kBlock>(v + tile * kKeys * a.v_pitch, a.v_pitch, keys - tile * kKeys);
    ptx::cp_async_commit();

    float score[kKeys / 8][4] = {};
#pragma unroll
    for (int step = 0; step < kWidth / 16; ++step) {
#pragma unroll
      for (int pair = 0; pair < kKeys / 16; ++pair) {
        std::uint32_t b[4];
        shared.k.right_rows(b, 16 * pair, step);
        multiply<T>(score, pair, query[step], b);
      }
    }
    std::int32_t const* const there = shared.positions[tile % 2];
    const bool masked =
        __any_sync(kAllLanes, there[lane] > minimum || there[lane + 32] > minimum ||
                                  there[lane] <= oldest || there[lane + 32] <= oldest);
    float maximum[2] = {max[0], max[1]};
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        score[n][c] *= scale;
        if (masked &&
            !sees(position[c / 2], there[8 * n + 2 * (lane % 4) + c % 2], a.shape.window)) {
          score[n][c] = minus_infinity();
        }
        maximum[c / 2] = score[n][c] > maximum[c / 2] ? score[n][c] : maximum[c / 2];
      }
    }
    float row_max[2], rescale[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      maximum[r] = max_of_row(maximum[r]);
      row_max[r] = maximum[r] == minus_infinity() ? 0.0f : maximum[r];  // nothing seen yet
      rescale[r] = exp2f(max[r] - row_max[r]);
      max[r] = maximum[r];
      sum[r] *= rescale[r];
    }
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        score[n][c] = exp2f(score[n][c] - row_max[c / 2]);
        sum[c / 2] += score[n][c];
      }
    }
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
#pragma unroll
      for (int c = 0; c < 4; ++c) out[n][c] *= rescale[c / 2];
    }

    ptx::cp_async_wait<0>();
    __syncthreads();
    if (tile + 1 < tiles) fill_keys(tile + 1);
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step) {
      std::uint32_t p[4];
      as_left<T>(p, score, step);
#pragma unroll
      for (int pair = 0; pair < kWidth / 16; ++pair) {
        std::uint32_t b[4];
        shared.v.right(b, 16 * step, pair);
        multiply<T>(out, pair, p, b);
      }
    }
  }

  float inverse[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] = sum_of_row(sum[r]);
    inverse[r] = sum[r] == 0 ? 0.0f : 1.0f / sum[r];
    const int row = first + own + lane / 4 + 8 * r;
    if (lane % 4 == 0 && row < queries) {
      a.lse[(q_start + row) * a.lse_pitch + head] = (max[r] + log2f(sum[r])) * kLn2;
    }
  }
  // Nobody reads keys any more: the last tile's were done with before its values arrived.
  shared.k.template put<T>(out, own, inverse[0], inverse[1]);
  __syncwarp();
  shared.k.empty(a.out + (q_start + first) * a.out_pitch + head * kWidth, a.out_pitch, own,
                 queries - first);
}

template <class T, int kWidth>
cudaError_t launch_forward(AttentionForward<T> const& a, cudaStream_t stream) {
  const auto tiles = div_up(a.q_rows.longest, kQueries);
  return launch(
      forward_kernel<T, kWidth>,
      dim3(static_cast<unsigned>(tiles * a.shape.sequences), static_cast<unsigned>(a.shape.heads)),
      dim3(kBlock), sizeof(ForwardShared<kWidth>), stream, a);
}

}  // namespace

template <class T>
cudaError_t attention_tiled(AttentionForward<T> const& a, cudaStream_t stream) {
  return with_tiled_width(a.shape.width, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    return launch_forward<T, kWidth>(a, stream);
  });
}

template cudaError_t attention_tiled(AttentionForward<bf16> const&, cudaStream_t);
template cudaError_t attention_tiled(AttentionForward<f16> const&, cudaStream_t);

}  // namespace lomo::kernels
