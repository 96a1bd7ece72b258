// The choice between attention kernels, and delta = rowsum(dout out) for the backward of both.
//
// Bytes: delta reads dout and out once. Launch: a warp for each row and head, 16 bytes a lane where
// rows are aligned. Memory-bound.
#include "attention.h"

#include "attention_parts.cuh"

namespace lomo::kernels {
namespace {

constexpr std::int64_t kWidest = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    delta_kernel(float* delta, T const* dout, std::int64_t dout_pitch, T const* out,
                 std::int64_t out_pitch, std::int64_t rows, int heads, int width) {
  const unsigned warp = blockIdx.x * (kThreads / 32) + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const std::int64_t row = warp / static_cast<unsigned>(heads);
  const int head = static_cast<int>(warp % static_cast<unsigned>(heads));
  if (row >= rows) return;
  float sum = 0;
  for (int j = lane * N; j < width; j += 32 * N) {
    float x[N], y[N];
    load(x, dout + row * dout_pitch + head * width + j);
    load(y, out + row * out_pitch + head * width + j);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += x[k] * y[k];
  }
  sum = reduce_warp(sum, Add{});
  if (lane == 0) delta[head * rows + row] = sum;
}

bool tileable(AttentionShape const& shape, Variant variant) {
  return variant == Variant::tuned && attention_has_tiles(shape.width, 2) && shape.scale > 0;
}

}  // namespace

cudaError_t attention(Storage type, Out out, Out lse, In q, In k, In v, AttentionRows q_rows,
                      AttentionRows k_rows, AttentionShape shape, cudaStream_t stream,
                      Variant variant) {
  if (shape.width > kWidest) return cudaErrorInvalidValue;
  if (q_rows.count == 0) return cudaSuccess;
  return with_storage(type, [&]<class T>(T) {
    const AttentionForward<T> a{static_cast<T*>(out.data),
                                static_cast<float*>(lse.data),
                                static_cast<T const*>(q.data),
                                static_cast<T const*>(k.data),
                                static_cast<T const*>(v.data),
                                out.pitch,
                                lse.pitch,
                                q.pitch,
                                k.pitch,
                                v.pitch,
                                q_rows,
                                k_rows,
                                shape};
    if constexpr (sizeof(T) == 2) {
      if (tileable(shape, variant) && aligned(out, sizeof(T)) && aligned(q, sizeof(T)) &&
          aligned(k, sizeof(T)) && aligned(v, sizeof(T))) {
        return attention_tiled(a, stream);
      }
    }
    return attention_simple(a, stream);
  });
}

cudaError_t attention_backward(Storage type, Out dq, Out dk, Out dv, In dout, In out, In lse, In q,
                               In k, In v, AttentionRows q_rows, AttentionRows k_rows,
                               AttentionShape shape, void* workspace, cudaStream_t stream,
                               Variant variant) {
  if (shape.width > kWidest) return cudaErrorInvalidValue;
  if (q_rows.count == 0 || k_rows.count == 0) return cudaErrorInvalidValue;
  auto* const delta = static_cast<float*>(workspace);
  return with_storage(type, [&]<class T>(T) {
    const bool vectors = variant == Variant::tuned && shape.width % kVector<T> == 0 &&
                         aligned(dout, sizeof(T)) && aligned(out, sizeof(T));
    const cudaError_t error = with_width<T>(vectors, [&]<int N>(std::integral_constant<int, N>) {
      const std::int64_t warps = q_rows.count * shape.heads;
      return launch(delta_kernel<T, N>, dim3(static_cast<unsigned>(div_up(warps, kThreads / 32))),
                    dim3(kThreads), 0, stream, delta, static_cast<T const*>(dout.data), dout.pitch,
                    static_cast<T const*>(out.data), out.pitch, q_rows.count,
                    static_cast<int>(shape.heads), static_cast<int>(shape.width));
    });
    if (error != cudaSuccess) return error;
    const AttentionBackward<T> a{static_cast<T*>(dq.data),
                                 static_cast<T*>(dk.data),
                                 static_cast<T*>(dv.data),
                                 static_cast<T const*>(dout.data),
                                 static_cast<T const*>(q.data),
                                 static_cast<T const*>(k.data),
                                 static_cast<T const*>(v.data),
                                 static_cast<float const*>(lse.data),
                                 delta,
                                 dq.pitch,
                                 dk.pitch,
                                 dv.pitch,
                                 dout.pitch,
                                 q.pitch,
                                 k.pitch,
                                 v.pitch,
                                 lse.pitch,
                                 q_rows,
                                 k_rows,
                                 shape};
    if constexpr (sizeof(T) == 2) {
      if (tileable(shape, variant) && aligned(dq, sizeof(T)) && aligned(dk, sizeof(T)) &&
          aligned(dv, sizeof(T)) && aligned(dout, sizeof(T)) && aligned(q, sizeof(T)) &&
          aligned(k, sizeof(T)) && aligned(v, sizeof(T))) {
        return attention_backward_tiled(a, stream);
      }
    }
    return attention_backward_simple(a, stream);
  });
}

}  // namespace lomo::kernels
