#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include "status.h"

/// Owners of what the CUDA runtime hands out.
namespace lomo::cuda {

/// A handle that `destroy` gives back. Move-only.
template <class H, auto destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(H handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() {
    if (handle_ != nullptr) static_cast<void>(destroy(handle_));
  }
  operator H() const { return handle_; }

 private:
  H handle_ = nullptr;
};

using Queue = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using DeviceMemory = Handle<void*, cudaFree>;
using PinnedMemory = Handle<void*, cudaFreeHost>;

/// Keeps no order with other streams but what events say.
inline Queue make_queue() {
  cudaStream_t queue = nullptr;
  check(cudaStreamCreateWithFlags(&queue, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return Queue(queue);
}
inline Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return Event(event);
}
inline Event make_timed_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreateWithFlags");
  return Event(event);
}
inline DeviceMemory make_device_memory(std::size_t bytes) {
  void* address = nullptr;
  check(cudaMalloc(&address, bytes), "cudaMalloc");
  return DeviceMemory(address);
}
inline PinnedMemory make_pinned_memory(std::size_t bytes) {
  void* address = nullptr;
  check(cudaMallocHost(&address, bytes), "cudaMallocHost");
  return PinnedMemory(address);
}

}  // namespace lomo::cuda
