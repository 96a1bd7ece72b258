#pragma once
// How kernels are launched: dispatch on the storage type and on alignment, and the common shape of
// element-wise kernels.
#include <algorithm>
#include <cstdint>

#include "launch.h"
#include "storage.cuh"

namespace lomo::kernels {

inline constexpr int kThreads = 256;
inline constexpr std::int64_t kMaxGridY = 65535;

/// Checks only what the driver checks; no dynamic shared memory unless `shared` says so.
template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
                   cudaStream_t stream, A&&... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
}

/// f(T{}) for the storage type.
template <class F>
cudaError_t with_storage(Storage type, F&& f) {
  switch (type) {
    case Storage::f32:
      return f(float{});
    case Storage::bf16:
      return f(bf16{});
    case Storage::f16:
      return f(f16{});
  }
  return cudaErrorInvalidValue;
}

/// f(std::integral_constant<int, N>) with N elements of T a thread: 16 bytes, or one. T is the
/// widest type of the kernel, so that the lanes of a warp read and write side by side in each of
/// them.
template <class T, class F>
cudaError_t with_width(bool vectors, F&& f) {
  if (vectors) return f(std::integral_constant<int, kVector<T>>{});
  return f(std::integral_constant<int, 1>{});
}

/// True when rows of elements of `size` bytes can be read 16 bytes at a time.
inline bool aligned(In m, std::int64_t size) {
  return reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 && m.pitch * size % 16 == 0;
}

constexpr std::int64_t div_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// One thread for each of `items` of a row, rows on the second axis.
struct RowGrid {
  RowGrid(std::int64_t rows, std::int64_t items) {
    unsigned x = 32;
    while (x < kThreads && x < items) x *= 2;
    block = dim3(x, kThreads / x);
    grid = dim3(static_cast<unsigned>(div_up(items, x)),
                static_cast<unsigned>(std::min(kMaxGridY, div_up(rows, block.y))));
  }
  dim3 grid, block;
};

/// f(row, item) in the shape of RowGrid.
template <class F>
__device__ __forceinline__ void for_each_item(std::int64_t rows, std::int64_t items, F&& f) {
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= items) return;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.y) * blockDim.y;
  std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
  for (; row < rows; row += step) f(row, item);
}

}  // namespace lomo::kernels
