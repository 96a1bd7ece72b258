// Gated activation.
//
//   act = g s(g) u,   s(g) = 1 / (1 + e^-g)
//   d_g = d u s (1 + g (1 - s)),   d_u = d g s
//
// Bytes: forward reads 2 and writes 1 element, backward reads 3 and writes 2, for each of rows x F.
// Launch: a thread for every 16 bytes of a row of act (one element in the simple variant), blocks
// of 256 threads. Memory-bound: about 20 flops for 6 to 20 bytes.
#include "swiglu.h"

#include "launch.cuh"

namespace lomo::kernels {
namespace {

struct Sigmoid {
  __device__ __forceinline__ explicit Sigmoid(float g) {
    const float e = expf(-g);
    value = __fdividef(1.0f, 1.0f + e);  // to 2 ulp; the exact one calls a function
    // 1 - s loses all digits for large g; s e^-g does not, and is 0 * inf only below -88.
    rest = e > 1.0f ? 1.0f - value : value * e;
  }
  float value, rest;
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(T* act, std::int64_t act_pitch, T const* gate_up, std::int64_t pitch,
                  std::int64_t rows, std::int64_t f) {
  for_each_item(rows, f / N, [&](std::int64_t row, std::int64_t item) {
    T const* const at = gate_up + row * pitch + item * N;
    float gate[N], up[N];
    load(gate, at);
    load(up, at + f);
#pragma unroll
    for (int i = 0; i < N; ++i) up[i] *= gate[i] * Sigmoid(gate[i]).value;
    store(act + row * act_pitch + item * N, up);
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(T* d_gate_up, std::int64_t d_pitch, T const* d_act,
                           std::int64_t act_pitch, T const* gate_up, std::int64_t pitch,
                           std::int64_t rows, std::int64_t f) {
  for_each_item(rows, f / N, [&](std::int64_t row, std::int64_t item) {
    T const* const at = gate_up + row * pitch + item * N;
    float gate[N], up[N], d[N];
    load(gate, at);
    load(up, at + f);
    load(d, d_act + row * act_pitch + item * N);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const Sigmoid s(gate[i]);
      const float g = gate[i];
      gate[i] = d[i] * up[i] * s.value * (1.0f + g * s.rest);
      up[i] = d[i] * g * s.value;
    }
    T* const to = d_gate_up + row * d_pitch + item * N;
    store(to, gate);
    store(to + f, up);
  });
}

}  // namespace

cudaError_t swiglu(Storage type, Out act, In gate_up, std::int64_t rows, std::int64_t f,
                   cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && f % kVector<T> == 0 &&
                         aligned(act, sizeof(T)) && aligned(gate_up, sizeof(T));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, f / N);
      return launch(swiglu_kernel<T, N>, shape.grid, shape.block, 0, stream,
                    static_cast<T*>(act.data), act.pitch, static_cast<T const*>(gate_up.data),
                    gate_up.pitch, rows, f);
    });
  });
}

cudaError_t swiglu_backward(Storage type, Out d_gate_up, In d_act, In gate_up, std::int64_t rows,
                            std::int64_t f, cudaStream_t stream, Variant variant) {
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && f % kVector<T> == 0 &&
                         aligned(d_gate_up, sizeof(T)) && aligned(d_act, sizeof(T)) &&
                         aligned(gate_up, sizeof(T));
    return with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const RowGrid shape(rows, f / N);
      return launch(swiglu_backward_kernel<T, N>, shape.grid, shape.block, 0, stream,
                    static_cast<T*>(d_gate_up.data), d_gate_up.pitch,
                    static_cast<T const*>(d_act.data), d_act.pitch,
                    static_cast<T const*>(gate_up.data), gate_up.pitch, rows, f);
    });
  });
}

}  // namespace lomo::kernels
