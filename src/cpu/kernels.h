#pragma once
#include <cstdint>
#include <vector>

#include "lomo/core/dtype.h"
#include "lomo/cpu/workspace.h"

namespace lomo::cpu {

/// Larger than any position, and small enough that one less it is no overflow.
inline constexpr std::int32_t kNoWindow = 1 << 30;

/// One chunk of attention: `lanes` rows stand side by side in vector lanes and meet all `others`.
/// Forward and dq: lanes are query rows, others the keys of their sequence. dk and dv: lanes are
/// key rows, others the queries, once for each of the `heads` query heads that share the key head.
template <class T>
struct AttentionChunk {
  T const* q = nullptr;     // first query row, first column of the (first) query head
  T const* dout = nullptr;  // likewise
  T const* k = nullptr;     // first key row, first column of the key/value head
  T const* v = nullptr;
  std::int64_t q_pitch = 0, dout_pitch = 0, k_pitch = 0, v_pitch = 0;
  std::int32_t const* q_positions = nullptr;
  std::int32_t const* k_positions = nullptr;
  std::int64_t queries = 0, keys = 0;
  std::int64_t width = 0;  // D
  std::int64_t heads = 1;  // query heads, dk and dv only
  float scale = 1;
  std::int32_t window = kNoWindow;
  float* lse = nullptr;          // (queries, heads): written by forward, read by backward
  float const* delta = nullptr;  // (queries, heads), row sums of dout * out: backward
  std::int64_t lse_pitch = 0, delta_pitch = 0;
  // results
  T* out = nullptr;  // forward: out; dq pass: dq
  T* dk = nullptr;
  T* dv = nullptr;
  std::int64_t out_pitch = 0, dk_pitch = 0, dv_pitch = 0;
  float* scratch = nullptr;
};

/// Rows of a chunk and rows of the block it meets at a time, whatever the instruction set.
using workspace::kBlockRows;
using workspace::kChunkRows;
inline constexpr std::int64_t kMaxPanelLanes = workspace::kPanelLanes;

template <class T>
struct TypedKernels {
  // One row each; c, f, b columns.
  float (*rmsnorm)(T* y, T const* x, T const* w, std::int64_t c, float eps);  // returns rstd
  /// dw (c) adds; null when not wanted. residual may be null. dx may be dy or residual.
  void (*rmsnorm_backward)(T* dx, float* dw, T const* dy, T const* x, T const* w, T const* residual,
                           float rstd, std::int64_t c);
  void (*rotate)(T* x, float const* sine, float const* cosine, std::int64_t heads,
                 std::int64_t width, std::int64_t half);
  void (*swiglu)(T* act, T const* gate, T const* up, std::int64_t f);
  void (*swiglu_backward)(T* d_gate, T* d_up, T const* d_act, T const* gate, T const* up,
                          std::int64_t f);
  /// target: column of the one-hot, or outside [0, b) for none.
  void (*cross_entropy_backward)(T* dz, float const* z, float lse, float scale, std::int64_t target,
                                 std::int64_t b);
  float (*dot)(T const* x, T const* y, std::int64_t n);
  void (*attention)(AttentionChunk<T> const& chunk);
  void (*attention_backward_queries)(AttentionChunk<T> const& chunk);
  void (*attention_backward_keys)(AttentionChunk<T> const& chunk);
};

/// The inner loops of the engine, compiled once per instruction set. Results differ between sets
/// in the last bits (fused multiply-adds, order of sums), never between threads.
struct Kernels {
  char const* name;
  TypedKernels<float> f32;
  TypedKernels<bf16> bf16s;
  TypedKernels<f16> f16s;
  /// running (3): max, sum, target logit; see Backend::cross_entropy_block.
  void (*cross_entropy_block)(float* running, float const* z, std::int64_t target, std::int64_t b);
  /// sine, cosine (half) of position * inv_freq.
  void (*sine_cosine)(float* sine, float* cosine, std::int32_t position, float const* inv_freq,
                      std::int64_t half);
  void (*exp)(float* y, float const* x, std::int64_t n);

  template <class T>
  TypedKernels<T> const& of() const;
};
template <>
inline TypedKernels<float> const& Kernels::of<float>() const {
  return f32;
}
template <>
inline TypedKernels<bf16> const& Kernels::of<bf16>() const {
  return bf16s;
}
template <>
inline TypedKernels<f16> const& Kernels::of<f16>() const {
  return f16s;
}

/// All sets this machine can run, best first; the last one is plain C++.
std::vector<Kernels const*> const& kernel_sets();
/// The best of them, or the one the environment variable LOMO_KERNELS names.
Kernels const& kernels();

// One a kernel file; null where the file was not compiled for its instruction set.
Kernels const* baseline_kernels();
Kernels const* avx2_kernels();
Kernels const* avx512_kernels();

}  // namespace lomo::cpu
