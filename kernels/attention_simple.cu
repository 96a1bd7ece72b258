// Attention for any width up to 256, one warp for each row and head: the variant that tests compare
// the tiled one with, and the one for widths and types that has none.
//
//   s_j = scale q . k_j,  lse = log sum e^s_j,  out = sum e^(s_j - lse) v_j        over visible j
//   P = e^(s - lse),  dS = P (dout . v - delta),  delta = dout . out
//   dq = scale sum dS k,   dk = scale sum dS q,   dv = sum P dout
//
// Bytes: every query row reads all keys of its sequence from the cache, 2 x width elements a key
// (forward), 2 (dq), every key row 2 x width elements a query (dk, dv). Launch: blocks of one warp,
// lane l holds elements l, l + 32, ... of a row; sums over the width by shuffles, sums over rows in
// row order. Bound by shuffles: five for each score.
#include "attention_parts.cuh"

namespace lomo::kernels {
namespace {

constexpr int kRowThreads = 32;
constexpr int kParts = 256 / 32;

/// A row's elements of this lane.
struct Lanes {
  float x[kParts] = {};
  template <class T>
  __device__ __forceinline__ void load(T const* row, int width) {
    const int lane = threadIdx.x;
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      const int at = lane + 32 * i;
      const float value = to_float(row[at < width ? at : 0]);  // no branch around the load
      x[i] = at < width ? value : 0.0f;
    }
  }
  template <class T>
  __device__ __forceinline__ void store(T* row, int width, float scale) const {
    const int lane = threadIdx.x;
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      if (lane + 32 * i < width) row[lane + 32 * i] = round_to<T>(x[i] * scale);
    }
  }
  __device__ __forceinline__ void add(float factor, Lanes const& other) {
#pragma unroll
    for (int i = 0; i < kParts; ++i) x[i] += factor * other.x[i];
  }
};

__device__ __forceinline__ float dot(Lanes const& a, Lanes const& b) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kParts; ++i) sum += a.x[i] * b.x[i];
  return reduce_warp(sum, Add{});
}

/// The sequence that owns a row.
__device__ __forceinline__ int sequence_of(std::int32_t const* starts, int sequences,
                                           std::int64_t row) {
  int low = 0, high = sequences;  // starts[low] <= row < starts[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (starts[middle] <= row ? low : high) = middle;
  }
  return low;
}

/// This block's row and head. A block is one warp so that the compiler sees that its lanes stay
/// together: shuffles that might be divergent cost calls and spilled registers.
struct RowAndHead {
  __device__ __forceinline__ explicit RowAndHead(std::int64_t heads)
      : row(blockIdx.x / static_cast<unsigned>(heads)),
        head(static_cast<int>(blockIdx.x % static_cast<unsigned>(heads))) {}
  std::int64_t row;
  int head;
};

template <class T>
__global__ void __launch_bounds__(kRowThreads) simple_forward_kernel(AttentionForward<T> a) {
  const RowAndHead at(a.shape.heads);
  const int width = static_cast<int>(a.shape.width);
  const int column = at.head / group_of(a.shape) * width;
  const int s = sequence_of(a.q_rows.starts, static_cast<int>(a.shape.sequences), at.row);
  const std::int32_t position = a.q_rows.positions[at.row];
  Lanes q, k, v, out;
  q.load(a.q + at.row * a.q_pitch + at.head * width, width);
  float max = minus_infinity(), sum = 0;
  for (std::int64_t j = a.k_rows.starts[s], end = a.k_rows.starts[s + 1]; j < end; ++j) {
    if (!sees(position, a.k_rows.positions[j], a.shape.window)) continue;
    k.load(a.k + j * a.k_pitch + column, width);
    v.load(a.v + j * a.v_pitch + column, width);
    const float score = dot(q, k) * a.shape.scale;
    const float maximum = score > max ? score : max;
    const float row_max = maximum == minus_infinity() ? 0.0f : maximum;
    const float rescale = expf(max - row_max);
    const float p = expf(score - row_max);
#pragma unroll
    for (int i = 0; i < kParts; ++i) out.x[i] *= rescale;
    out.add(p, v);
    sum = sum * rescale + p;
    max = maximum;
  }
  out.store(a.out + at.row * a.out_pitch + at.head * width, width, sum == 0 ? 0.0f : 1.0f / sum);
  if (threadIdx.x == 0) a.lse[at.row * a.lse_pitch + at.head] = max + logf(sum);
}

template <class T>
__global__ void __launch_bounds__(kRowThreads) simple_dq_kernel(AttentionBackward<T> a) {
  const RowAndHead at(a.shape.heads);
  const int width = static_cast<int>(a.shape.width);
  const int column = at.head / group_of(a.shape) * width;
  const int s = sequence_of(a.q_rows.starts, static_cast<int>(a.shape.sequences), at.row);
  const std::int32_t position = a.q_rows.positions[at.row];
  const float lse = a.lse[at.row * a.lse_pitch + at.head];
  const float delta = a.delta[at.head * a.q_rows.count + at.row];
  Lanes q, dout, k, v, dq;
  q.load(a.q + at.row * a.q_pitch + at.head * width, width);
  dout.load(a.dout + at.row * a.dout_pitch + at.head * width, width);
  for (std::int64_t j = a.k_rows.starts[s], end = a.k_rows.starts[s + 1]; j < end; ++j) {
    if (!sees(position, a.k_rows.positions[j], a.shape.window)) continue;
    k.load(a.k + j * a.k_pitch + column, width);
    v.load(a.v + j * a.v_pitch + column, width);
    const float p = expf(dot(q, k) * a.shape.scale - lse);
    dq.add(p * (dot(dout, v) - delta), k);
  }
  dq.store(a.dq + at.row * a.dq_pitch + at.head * width, width, a.shape.scale);
}

template <class T>
__global__ void __launch_bounds__(kRowThreads) simple_dkv_kernel(AttentionBackward<T> a) {
  const RowAndHead at(a.shape.kv_heads);
  const int width = static_cast<int>(a.shape.width);
  const int group = group_of(a.shape);
  const int s = sequence_of(a.k_rows.starts, static_cast<int>(a.shape.sequences), at.row);
  const std::int32_t position = a.k_rows.positions[at.row];
  Lanes k, v, q, dout, dk, dv;
  k.load(a.k + at.row * a.k_pitch + at.head * width, width);
  v.load(a.v + at.row * a.v_pitch + at.head * width, width);
  for (int head = at.head * group; head < (at.head + 1) * group; ++head) {
    for (std::int64_t i = a.q_rows.starts[s], end = a.q_rows.starts[s + 1]; i < end; ++i) {
      if (!sees(a.q_rows.positions[i], position, a.shape.window)) continue;
      q.load(a.q + i * a.q_pitch + head * width, width);
      dout.load(a.dout + i * a.dout_pitch + head * width, width);
      const float p = expf(dot(q, k) * a.shape.scale - a.lse[i * a.lse_pitch + head]);
      dv.add(p, dout);
      dk.add(p * (dot(dout, v) - a.delta[head * a.q_rows.count + i]), q);
    }
  }
  dk.store(a.dk + at.row * a.dk_pitch + at.head * width, width, a.shape.scale);
  dv.store(a.dv + at.row * a.dv_pitch + at.head * width, width, 1.0f);
}

}  // namespace

template <class T>
cudaError_t attention_simple(AttentionForward<T> const& a, cudaStream_t stream) {
  return launch(simple_forward_kernel<T>,
                dim3(static_cast<unsigned>(a.q_rows.count * a.shape.heads)), dim3(kRowThreads), 0,
                stream, a);
}

template <class T>
cudaError_t attention_backward_simple(AttentionBackward<T> const& a, cudaStream_t stream) {
  const cudaError_t error =
      launch(simple_dq_kernel<T>, dim3(static_cast<unsigned>(a.q_rows.count * a.shape.heads)),
             dim3(kRowThreads), 0, stream, a);
  if (error != cudaSuccess) return error;
  return launch(simple_dkv_kernel<T>,
                dim3(static_cast<unsigned>(a.k_rows.count * a.shape.kv_heads)), dim3(kRowThreads),
                0, stream, a);
}

template cudaError_t attention_simple(AttentionForward<float> const&, cudaStream_t);
template cudaError_t attention_simple(AttentionForward<bf16> const&, cudaStream_t);
template cudaError_t attention_simple(AttentionForward<f16> const&, cudaStream_t);
template cudaError_t attention_backward_simple(AttentionBackward<float> const&, cudaStream_t);
template cudaError_t attention_backward_simple(AttentionBackward<bf16> const&, cudaStream_t);
template cudaError_t attention_backward_simple(AttentionBackward<f16> const&, cudaStream_t);

}  // namespace lomo::kernels
