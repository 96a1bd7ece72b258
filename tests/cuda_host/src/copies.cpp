// Copies and fills. As on hardware, a copy from pageable memory has read it when the call returns,
// a copy to pageable memory has written it; copies between device and pinned memory happen whenever
// the stream gets to them.
#include <cuda_runtime_api.h>

#include <cstring>
#include <utility>
#include <vector>

#include "device_state.h"
#include "memory.h"
#include "streams.h"

using namespace cuda_host;

namespace {

struct Rows {
  void* to;
  std::size_t to_pitch;
  void const* from;
  std::size_t from_pitch, width, height;

  std::size_t to_bytes() const { return (height - 1) * to_pitch + width; }
  std::size_t from_bytes() const { return (height - 1) * from_pitch + width; }
  std::string run() const {
    for (std::size_t i = 0; i < height; ++i) {
      std::memmove(static_cast<char*>(to) + i * to_pitch,
                   static_cast<char const*>(from) + i * from_pitch, width);
    }
    return {};
  }
};

cudaError_t enqueue_copy(Rows rows, cudaMemcpyKind kind, cudaStream_t handle, bool synchronous) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(handle);
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  if (rows.width == 0 || rows.height == 0) return cudaSuccess;
  if (rows.to_pitch < rows.width || rows.from_pitch < rows.width) {
    return note(cudaErrorInvalidPitchValue);
  }
  const bool to_device = is_device_address(rows.to);
  const bool from_device = is_device_address(rows.from);
  const cudaMemcpyKind meant =
      to_device ? (from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice)
                : (from_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost);
  if (kind != cudaMemcpyDefault && kind != meant) {
    note_refusal("copy of a kind that its addresses do not have");
    return note(cudaErrorInvalidValue);
  }
  if ((to_device && !is_device_memory(rows.to, rows.to_bytes())) ||
      (from_device && !is_device_memory(rows.from, rows.from_bytes()))) {
    note_refusal("copy beyond the end of an allocation, or of memory that was freed");
    return note(cudaErrorInvalidValue);
  }
  Work work;
  work.what = Ran::What::copy;
  if (!from_device && !is_pinned(rows.from, rows.from_bytes())) {
    auto const* const first = static_cast<char const*>(rows.from);
    work.run = [rows, staged = std::vector<char>(first, first + rows.from_bytes())] {
      Rows copy = rows;
      copy.from = staged.data();
      return copy.run();
    };
  } else {
    work.run = [rows] { return rows.run(); };
  }
  streams().enqueue(*stream, std::move(work));
  const bool to_pageable = !to_device && !is_pinned(rows.to, rows.to_bytes());
  if (to_pageable || (synchronous && meant != cudaMemcpyDeviceToDevice)) streams().finish(*stream);
  return sticky();
}

cudaError_t enqueue_fill(void* to, std::size_t pitch, int value, std::size_t width,
                         std::size_t height, cudaStream_t handle) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(handle);
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  if (width == 0 || height == 0) return cudaSuccess;
  if (pitch < width || !is_device_memory(to, (height - 1) * pitch + width)) {
    note_refusal("fill of memory that is not of one allocation on the device");
    return note(cudaErrorInvalidValue);
  }
  Work work;
  work.what = Ran::What::copy;
  work.run = [=] {
    for (std::size_t i = 0; i < height; ++i) {
      std::memset(static_cast<char*>(to) + i * pitch, value, width);
    }
    return std::string();
  };
  streams().enqueue(*stream, std::move(work));
  return sticky();
}

}  // namespace

cudaError_t cudaMemcpy(void* to, void const* from, std::size_t bytes, cudaMemcpyKind kind) {
  return enqueue_copy({to, bytes, from, bytes, bytes, 1}, kind, nullptr, true);
}

cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return enqueue_copy({to, bytes, from, bytes, bytes, 1}, kind, stream, false);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, void const* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return enqueue_copy({to, to_pitch, from, from_pitch, width, height}, kind, stream, false);
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return enqueue_fill(to, bytes, value, bytes, 1, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return enqueue_fill(to, bytes, value, bytes, 1, stream);
}

cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t stream) {
  return enqueue_fill(to, pitch, value, width, height, stream);
}
