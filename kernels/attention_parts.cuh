#pragma once
// What the attention kernels share: their arguments, and the launchers of each variant.
#include "attention.h"
#include "block.cuh"
#include "launch.cuh"

namespace lomo::kernels {

inline constexpr float kLog2e = 1.44269504088896340736f;
inline constexpr float kLn2 = 0.69314718055994530942f;

template <class T>
struct AttentionForward {
  T* out;
  float* lse;
  T const *q, *k, *v;
  std::int64_t out_pitch, lse_pitch, q_pitch, k_pitch, v_pitch;
  AttentionRows q_rows, k_rows;
  AttentionShape shape;
};

template <class T>
struct AttentionBackward {
  T *dq, *dk, *dv;
  T const *dout, *q, *k, *v;
  float const *lse, *delta;  // delta (heads, q_rows) dense = rowsum(dout out)
  std::int64_t dq_pitch, dk_pitch, dv_pitch, dout_pitch, q_pitch, k_pitch, v_pitch, lse_pitch;
  AttentionRows q_rows, k_rows;
  AttentionShape shape;
};

/// Query heads to a key/value head.
__device__ __forceinline__ int group_of(AttentionShape const& shape) {
  return static_cast<int>(shape.heads) / static_cast<int>(shape.kv_heads);
}

/// Whether a query sees a key, by their positions: one comparison, as a key that lies ahead is far
/// behind once the difference has no sign.
__device__ __forceinline__ bool sees(std::int32_t query, std::int32_t key, std::int32_t window) {
  return static_cast<unsigned>(query - key) < static_cast<unsigned>(window);
}

__device__ __forceinline__ float minus_infinity() {
  return __uint_as_float(0xff800000u);
}

/// Calls f with the width as a constant, one of those that have tiles.
template <class F>
cudaError_t with_tiled_width(std::int64_t width, F f) {
  switch (width) {
    case 64:
      return f(std::integral_constant<int, 64>{});
    case 80:
      return f(std::integral_constant<int, 80>{});
    case 96:
      return f(std::integral_constant<int, 96>{});
    case 128:
      return f(std::integral_constant<int, 128>{});
    default:
      return cudaErrorInvalidValue;
  }
}

/// T is f32, bf16 or f16; width up to 256.
template <class T>
cudaError_t attention_simple(AttentionForward<T> const& a, cudaStream_t stream);
template <class T>
cudaError_t attention_backward_simple(AttentionBackward<T> const& a, cudaStream_t stream);

/// T is bf16 or f16; the width is one that has tiles; rows 16-byte aligned; scale above 0.
template <class T>
cudaError_t attention_tiled(AttentionForward<T> const& a, cudaStream_t stream);
template <class T>
cudaError_t attention_backward_tiled(AttentionBackward<T> const& a, cudaStream_t stream);

}  // namespace lomo::kernels
