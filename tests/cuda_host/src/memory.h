#pragma once
#include <cstddef>
#include <string>

namespace cuda_host {

/// True if all `bytes` at `p` belong to one piece from cudaMalloc.
bool is_device_memory(void const* p, std::size_t bytes);
/// True if `p` lies where device memory is, allocated or not.
bool is_device_address(void const* p);
/// True if all `bytes` at `p` belong to one piece from cudaMallocHost or cudaHostAlloc.
bool is_pinned(void const* p, std::size_t bytes);

/// Device memory can be touched only while work of the device runs; the host that dereferences a
/// device pointer gets a segmentation fault, as it does with a real one.
class DeviceMemoryOpen {
 public:
  DeviceMemoryOpen();
  ~DeviceMemoryOpen();
  DeviceMemoryOpen(DeviceMemoryOpen const&) = delete;
  DeviceMemoryOpen& operator=(DeviceMemoryOpen const&) = delete;
};

/// Empty, or which allocation was written to beyond its end.
std::string check_device_memory();
void free_all_memory();

}  // namespace cuda_host
