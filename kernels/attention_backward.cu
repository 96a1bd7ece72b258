// Tiled attention, backward, head widths 64, 80, 96 and 128.
//
//   P = e^(scale Q K^T - lse),   dS = P (dO V^T - delta)
//   dQ = scale dS K,   dK = scale dS^T Q,   dV = P^T dO
//
// One kernel, two roles. A block owns 128 rows of a sequence and a head, which stay in shared
// memory and whose sums stay in registers, and lets the other side go by in tiles of 32 rows:
//   owner of queries: own (q, dout), others (k, v), sum dQ;
//   owner of keys:    own (k, v), others (q, dout) of all query heads of its group, sums dK and dV.
// The scores are computed in both roles, seven products instead of five, so that each sum belongs
// to one block and is added in one order without atomics.
//
// Bytes: own rows once, the other side once for every 128 own rows; dq, dk, dv once; delta reads
// dout and out once. Flops: 14 x width a visible pair, on tensor cores. Launch: eight warps, each
// owner of 16 rows; the next tile is copied while this one is computed. Shared memory 49 KiB for
// width 64, 97 KiB for the others, which fits the 99 KiB of sm_86 and sm_89. Compute-bound.
#include "attention_parts.cuh"
#include "tile.cuh"

namespace lomo::kernels {
namespace {

constexpr int kBlock = 256;
constexpr int kOwn = 128;
constexpr int kOther = 32;

template <int kWidth>
struct BackwardShared {
  Tile<kOwn, kWidth> own[2];         // q, dout or k, v
  Tile<kOther, kWidth> other[2][2];  // two stages of k, v or q, dout
  std::int32_t positions[2][kOther];
  float lse[2][kOther], delta[2][kOther];  // of others that are queries; lse in powers of two
};

/// One role's view of the arguments.
template <class T>
struct Side {
  T const *first, *second;  // (q, dout) or (k, v)
  std::int64_t first_pitch, second_pitch;
  std::int32_t const* positions;
  std::int64_t start;  // row of the sequence's first
  int count;
};

template <class T, int kWidth, bool kOwnsKeys>
__global__ void __launch_bounds__(kBlock) backward_kernel(AttentionBackward<T> a) {
  DYN_SHARED(BackwardShared<kWidth>, shared);
  SHARED_ARRAY(int, scratch, kBlock / 32);
  const int thread = threadIdx.x;
  const int lane = thread % 32;
  const int own_row = thread / 32 * 16;  // first row of the warp
  const auto sequences = static_cast<unsigned>(a.shape.sequences);
  const int sequence = static_cast<int>(blockIdx.x % sequences);
  const int own_head = static_cast<int>(blockIdx.y);
  const int group = group_of(a.shape);
  const auto side = [&](bool keys) {
    AttentionRows const& rows = keys ? a.k_rows : a.q_rows;
    const std::int64_t start = rows.starts[sequence];
    return Side<T>{keys ? a.k : a.q,
                   keys ? a.v : a.dout,
                   keys ? a.k_pitch : a.q_pitch,
                   keys ? a.v_pitch : a.dout_pitch,
                   rows.positions + start,
                   start,
                   static_cast<int>(rows.starts[sequence + 1] - start)};
  };
  const Side<T> own = side(kOwnsKeys), other = side(!kOwnsKeys);
  // The blocks with the most work first: late queries, early keys.
  const int turn = static_cast<int>(blockIdx.x / sequences);
  const int first = (kOwnsKeys ? turn : (own.count + kOwn - 1) / kOwn - 1 - turn) * kOwn;
  if (first < 0 || first >= own.count) return;
  const auto position_of = [&](int row) {  // rows past the end repeat the last
    return own.positions[first + row < own.count ? first + row : own.count - 1];
  };

  const std::int64_t own_at = own.start + first;
  shared.own[0].template fill<kBlock>(own.first + own_at * own.first_pitch + own_head * kWidth,
                                      own.first_pitch, own.count - first);
  shared.own[1].template fill<kBlock>(own.second + own_at * own.second_pitch + own_head * kWidth,
                                      own.second_pitch, own.count - first);

  // The tiles of the other side between the first and the last row that can meet an own row.
  const int outermost = position_of(thread % kOwn);
  const int limit =
      kOwnsKeys ? reduce_block(outermost, scratch, Min{}) : reduce_block(outermost, scratch, Max{});
  // Beyond this the windows end.
  const int bound = kOwnsKeys ? reduce_block(outermost, scratch, Max{}) + a.shape.window
                              : reduce_block(outermost, scratch, Min{}) - a.shape.window;
  int low = other.count, high = 0;
  for (int j = thread; j < other.count; j += kBlock) {
    if (kOwnsKeys ? other.positions[j] < limit : other.positions[j] > limit) continue;
    if (kOwnsKeys ? other.positions[j] >= bound : other.positions[j] <= bound) continue;
    low = j < low ? j : low;
    high = j + 1;
  }
  low = reduce_block(low, scratch, Min{}) / kOther;
  high = (reduce_block(high, scratch, Max{}) + kOther - 1) / kOther;
  const int tiles = high > low ? high - low : 0;
  const int turns = tiles * (kOwnsKeys ? group : 1);

  const auto fill_others = [&](int i) {
    const int stage = i % 2;
    const int row = (low + i % tiles) * kOther;
    const int head = kOwnsKeys ? own_head * group + i / tiles : own_head / group;
    const std::int64_t at = other.start + row;
    const int left = other.count - row;
    shared.other[stage][0].template fill<kBlock>(
        other.first + at * other.first_pitch + head * kWidth, other.first_pitch, left);
    shared.other[stage][1].template fill<kBlock>(
        other.second + at * other.second_pitch + head * kWidth, other.second_pitch, left);
    ptx::cp_async_commit();
    if (thread >= kOther) return;
    const bool valid = thread < left;
    shared.positions[stage][thread] =
        valid ? other.positions[row + thread] : (kOwnsKeys ? -1 : INT32_MAX);
    if (kOwnsKeys) {
      shared.lse[stage][thread] = valid ? a.lse[(at + thread) * a.lse_pitch + head] * kLog2e : 0.0f;
      shared.delta[stage][thread] = valid ? a.delta[head * a.q_rows.count + at + thread] : 0.0f;
    }
  };
  ptx::cp_async_commit();
  if (turns > 0) fill_others(0);

  const std::int32_t position[2] = {position_of(own_row + lane / 4),
                                    position_of(own_row + lane / 4 + 8)};
  const bool rising = position[0] < position[1];
  const int strictest = kOwnsKeys ? reduce_warp(rising ? position[1] : position[0], Max{})
                                  : reduce_warp(rising ? position[0] : position[1], Min{});
  const int nearest = kOwnsKeys
                          ? reduce_warp(rising ? position[0] : position[1], Min{}) + a.shape.window
                          : reduce_warp(rising ? position[1] : position[0], Max{}) - a.shape.window;
  float row_lse[2] = {}, row_delta[2] = {};
  if (!kOwnsKeys) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = first + own_row + lane / 4 + 8 * r;
      if (row >= own.count) continue;
      row_lse[r] = a.lse[(own.start + row) * a.lse_pitch + own_head] * kLog2e;
      row_delta[r] = a.delta[own_head * a.q_rows.count + own.start + row];
    }
  }
  const float scale = a.shape.scale * kLog2e;
  float by_grads[kWidth / 8][4] = {};   // dQ or dK, without the scale
  float by_scores[kWidth / 8][4] = {};  // dV

  for (int i = 0; i < turns; ++i) {
    const int stage = i % 2;
    ptx::cp_async_wait<0>();
    __syncthreads();
    if (i + 1 < turns) fill_others(i + 1);

    float score[kOther / 8][4] = {}, grad[kOther / 8][4] = {};
#pragma unroll
    for (int step = 0; step < kWidth / 16; ++step) {
      std::uint32_t left[2][4];
      shared.own[0].left(left[0], own_row, step);
      shared.own[1].left(left[1], own_row, step);
#pragma unroll
      for (int pair = 0; pair < kOther / 16; ++pair) {
        std::uint32_t b[4];
        shared.other[stage][0].right_rows(b, 16 * pair, step);
        multiply<T>(score, pair, left[0], b);
        shared.other[stage][1].right_rows(b, 16 * pair, step);
        multiply<T>(grad, pair, left[1], b);
      }
    }
    std::int32_t const* const there = shared.positions[stage];
    const bool masked =
        __any_sync(kAllLanes, kOwnsKeys ? there[lane] < strictest || there[lane] >= nearest
                                        : there[lane] > strictest || there[lane] <= nearest);
#pragma unroll
    for (int n = 0; n < kOther / 8; ++n) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int j = 8 * n + 2 * (lane % 4) + c % 2;
        const float lse = kOwnsKeys ? shared.lse[stage][j] : row_lse[c / 2];
        const float delta = kOwnsKeys ? shared.delta[stage][j] : row_delta[c / 2];
        float p = exp2f(score[n][c] * scale - lse);
        float ds = p * (grad[n][c] - delta);
        if (masked && !(kOwnsKeys ? sees(there[j], position[c / 2], a.shape.window)
                                  : sees(position[c / 2], there[j], a.shape.window))) {
          p = 0;
          ds = 0;
        }
        score[n][c] = p;
        grad[n][c] = ds;
      }
    }
#pragma unroll
    for (int step = 0; step < kOther / 16; ++step) {
      std::uint32_t p[4], ds[4];
      if (kOwnsKeys) as_left<T>(p, score, step);
      as_left<T>(ds, grad, step);
#pragma unroll
      for (int pair = 0; pair < kWidth / 16; ++pair) {
        std::uint32_t b[4];
        shared.other[stage][0].right(b, 16 * step, pair);
        multiply<T>(by_grads, pair, ds, b);
        if (!kOwnsKeys) continue;
        shared.other[stage][1].right(b, 16 * step, pair);
        multiply<T>(by_scores, pair, p, b);
      }
    }
  }

  // A warp's own rows are read by no other warp: they make room for its results.
  ptx::cp_async_wait<0>();
  __syncthreads();
  T* const grads = kOwnsKeys ? a.dk : a.dq;
  const std::int64_t pitch = kOwnsKeys ? a.dk_pitch : a.dq_pitch;
  shared.own[0].template put<T>(by_grads, own_row, a.shape.scale, a.shape.scale);
  if (kOwnsKeys) shared.own[1].template put<T>(by_scores, own_row, 1.0f, 1.0f);
  __syncwarp();
  shared.own[0].empty(grads + own_at * pitch + own_head * kWidth, pitch, own_row,
                      own.count - first);
  if (kOwnsKeys) {
    shared.own[1].empty(a.dv + own_at * a.dv_pitch + own_head * kWidth, a.dv_pitch, own_row,
                        own.count - first);
  }
}

template <class T, int kWidth, bool kOwnsKeys>
cudaError_t launch_role(AttentionBackward<T> const& a, cudaStream_t stream) {
  auto* const kernel = backward_kernel<T, kWidth, kOwnsKeys>;
  constexpr std::size_t bytes = sizeof(BackwardShared<kWidth>);
  const cudaError_t error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (error != cudaSuccess) return error;
  const std::int64_t tiles = div_up((kOwnsKeys ? a.k_rows : a.q_rows).longest, kOwn);
  const std::int64_t heads = kOwnsKeys ? a.shape.kv_heads : a.shape.heads;
  return launch(
      kernel, dim3(static_cast<unsigned>(tiles * a.shape.sequences), static_cast<unsigned>(heads)),
      dim3(kBlock), bytes, stream, a);
}

template <class T, int kWidth>
cudaError_t launch_backward(AttentionBackward<T> const& a, cudaStream_t stream) {
  const cudaError_t error = launch_role<T, kWidth, false>(a, stream);
  return error != cudaSuccess ? error : launch_role<T, kWidth, true>(a, stream);
}

}  // namespace

template <class T>
cudaError_t attention_backward_tiled(AttentionBackward<T> const& a, cudaStream_t stream) {
  return with_tiled_width(a.shape.width, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    return launch_backward<T, kWidth>(a, stream);
  });
}

template cudaError_t attention_backward_tiled(AttentionBackward<bf16> const&, cudaStream_t);
template cudaError_t attention_backward_tiled(AttentionBackward<f16> const&, cudaStream_t);

}  // namespace lomo::kernels
