#include "device.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "status.h"

namespace lomo::cuda {
namespace {

/// Kernels are loaded as they are used, cuBLASLt's too.
constexpr std::size_t kOutsideTheSlab = std::size_t{512} << 20;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string architecture_of(cudaDeviceProp const& p) {
  return "sm_" + std::to_string(p.major) + std::to_string(p.minor);
}

}  // namespace

std::string unavailable_reason(int local_rank) {
  int driver = 0, runtime = 0, count = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  const cudaError_t counted = driver == 0 ? cudaSuccess : cudaGetDeviceCount(&count);
  if (driver == 0) return "no NVIDIA driver is installed on this machine";
  if (counted == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is too old: it supports CUDA " + version_text(driver) +
           ", this engine was built with CUDA " + version_text(runtime) + "; update the driver";
  }
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && count == 0)) {
    return "there is no NVIDIA GPU in this machine, or CUDA_VISIBLE_DEVICES hides it";
  }
  if (counted != cudaSuccess) {
    return std::string("the NVIDIA driver does not answer: ") + cudaGetErrorString(counted);
  }
  if (count > 1 && local_rank >= count) {
    return "this is process " + std::to_string(local_rank + 1) + " on a machine with " +
           std::to_string(count) + " GPUs; start one process a GPU";
  }
  const int device = count == 1 ? 0 : local_rank;
  cudaDeviceProp p{};
  if (const cudaError_t status = cudaGetDeviceProperties(&p, device); status != cudaSuccess) {
    return "GPU " + std::to_string(device) + " does not answer: " + cudaGetErrorString(status);
  }
  if (p.major < 8) {
    return "GPU " + std::to_string(device) + ", " + p.name + ", is of architecture " +
           architecture_of(p) + "; the engine needs sm_80 (Ampere, 2020) or newer";
  }
  return {};
}

int device_of(int local_rank) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  return count == 1 ? 0 : local_rank;
}

std::size_t available_memory() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free - std::min(free, kOutsideTheSlab);
}

std::array<char, 16> gpu_identity() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "cudaGetDeviceProperties");
  std::array<char, 16> id{};
  static_assert(sizeof p.uuid.bytes == id.size());
  std::copy_n(p.uuid.bytes, id.size(), id.begin());
  return id;
}

std::string describe(int device) {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "cudaGetDeviceProperties");
  std::array<char, 32> memory{};
  std::snprintf(memory.data(), memory.size(), "%.1f GiB",
                static_cast<double>(p.totalGlobalMem) / (1 << 30));
  return std::string(p.name) + ", " + architecture_of(p) + ", " + memory.data();
}

}  // namespace lomo::cuda
