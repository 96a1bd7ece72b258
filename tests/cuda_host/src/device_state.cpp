#include "device_state.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "communicators.h"
#include "memory.h"
#include "streams.h"
#include "watcher.h"

namespace cuda_host {
namespace {

constexpr std::size_t kKib = 1024;
constexpr Architecture kArchitectures[] = {
    {75, 64 * kKib, 64 * kKib, 68},    {80, 163 * kKib, 164 * kKib, 108},
    {86, 99 * kKib, 100 * kKib, 82},   {89, 99 * kKib, 100 * kKib, 128},
    {90, 227 * kKib, 228 * kKib, 132},
};

std::string_view environment(char const* name, char const* otherwise) {
  char const* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

[[noreturn]] void bad_environment(char const* name, std::string_view value, char const* allowed) {
  throw std::runtime_error(std::string(name) + "=" + std::string(value) + ": must be " + allowed);
}

Architecture const& find_architecture(int number) {
  if (number == 0) {
    const std::string_view text = environment("CUDA_HOST_ARCH", "80");
    for (Architecture const& a : kArchitectures) {
      if (text == std::to_string(a.number)) return a;
    }
    bad_environment("CUDA_HOST_ARCH", text, "75, 80, 86, 89 or 90");
  }
  for (Architecture const& a : kArchitectures) {
    if (a.number == number) return a;
  }
  throw std::runtime_error("cuda_host: architecture " + std::to_string(number) +
                           " is not among 75, 80, 86, 89, 90");
}

enum class Driver { present, none, old, without_device };

/// CUDA_HOST_DRIVER: what a program finds that looks for a GPU.
Driver driver() {
  const std::string_view text = environment("CUDA_HOST_DRIVER", "present");
  if (text == "present") return Driver::present;
  if (text == "none") return Driver::none;
  if (text == "old") return Driver::old;
  if (text == "without-device") return Driver::without_device;
  bad_environment("CUDA_HOST_DRIVER", text, "present, none, old or without-device");
}

/// CUDA_HOST_GPU: whether the process has a GPU of its own or one that all others have, too.
bool has_own_gpu() {
  const std::string_view text = environment("CUDA_HOST_GPU", "own");
  if (text != "own" && text != "shared") bad_environment("CUDA_HOST_GPU", text, "own or shared");
  return text == "own";
}

struct State {
  State() { streams().reset(policy.seed, policy.lazy_streams); }
  Policy policy = policy_from_environment();
  Architecture const* architecture = &find_architecture(0);
  cudaError_t last = cudaSuccess;
  cudaError_t sticky = cudaSuccess;
  std::string report;
};

State& state() {
  static State the_state;
  return the_state;
}

}  // namespace

Policy policy_from_environment() {
  Policy p;
  const std::string_view order = environment("CUDA_HOST_ORDER", "forward");
  if (order == "reverse") {
    p.order = Order::reverse;
  } else if (order == "priority") {
    p.order = Order::priority;
  } else if (order != "forward") {
    bad_environment("CUDA_HOST_ORDER", order, "forward, reverse or priority");
  }
  const std::string seed(environment("CUDA_HOST_SEED", "1"));
  char* end = nullptr;
  p.seed = std::strtoull(seed.c_str(), &end, 10);
  if (seed.empty() || *end != '\0') bad_environment("CUDA_HOST_SEED", seed, "a number");
  const std::string_view copies = environment("CUDA_HOST_COPIES", "late");
  if (copies != "late" && copies != "early") {
    bad_environment("CUDA_HOST_COPIES", copies, "late or early");
  }
  p.late_copies = copies == "late";
  const std::string_view lazy = environment("CUDA_HOST_STREAMS", "lazy");
  if (lazy != "lazy" && lazy != "eager") {
    bad_environment("CUDA_HOST_STREAMS", lazy, "lazy or eager");
  }
  p.lazy_streams = lazy == "lazy";
  return p;
}

void follow(Policy const& policy) {
  streams().finish_all();
  state().policy = policy;
  streams().follow(policy.seed, policy.lazy_streams);
}

void reset(Policy const& policy, int number) {
  State& s = state();
  streams().finish_all();
  forget_communicators();
  free_all_memory();
  s.policy = policy;
  s.architecture = &find_architecture(number);
  s.last = s.sticky = cudaSuccess;
  s.report.clear();
  watcher().traffic().clear();
  streams().reset(policy.seed, policy.lazy_streams);
  forget_shared_memory_requests();
}

std::string const& report() {
  return state().report;
}

Architecture const& architecture() {
  return *state().architecture;
}

Policy const& policy() {
  return state().policy;
}

cudaError_t note(cudaError_t error) {
  state().last = error;
  return error;
}

void note_refusal(std::string const& why) {
  if (state().report.empty()) state().report = why;
}

void note_sticky(cudaError_t error, std::string const& what) {
  State& s = state();
  if (s.sticky != cudaSuccess) return;
  s.sticky = s.last = error;
  s.report = what;
}

cudaError_t sticky() {
  return state().sticky;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaGetLastError() {
  const cudaError_t error = state().last;
  state().last = state().sticky;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  return state().last;
}

#define CUDA_HOST_ERRORS(X)                                                                      \
  X(cudaSuccess, "no error")                                                                     \
  X(cudaErrorInvalidValue, "invalid argument")                                                   \
  X(cudaErrorMemoryAllocation, "out of memory")                                                  \
  X(cudaErrorInvalidConfiguration, "invalid configuration argument")                             \
  X(cudaErrorInvalidPitchValue, "invalid pitch argument")                                        \
  X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                   \
  X(cudaErrorInvalidDevice, "invalid device ordinal")                                            \
  X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version") \
  X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                     \
  X(cudaErrorNotReady, "device not ready")                                                       \
  X(cudaErrorNotSupported, "operation not supported")                                            \
  X(cudaErrorLaunchFailure, "unspecified launch failure")

char const* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define CUDA_HOST_NAME(code, text) \
  case code:                       \
    return #code;
    CUDA_HOST_ERRORS(CUDA_HOST_NAME)
    default:
      return "unrecognized error code";
  }
}

char const* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorLaunchFailure && !report().empty()) return report().c_str();
  switch (error) {
#define CUDA_HOST_TEXT(code, text) \
  case code:                       \
    return text;
    CUDA_HOST_ERRORS(CUDA_HOST_TEXT)
    default:
      return "unrecognized error code";
  }
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (driver() == Driver::none || driver() == Driver::old) {
    return note(cudaErrorInsufficientDriver);
  }
  if (driver() == Driver::without_device) return note(cudaErrorNoDevice);
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? sticky() : note(cudaErrorInvalidDevice);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = driver() == Driver::none ? 0 : driver() == Driver::old ? 11040 : CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceReset() {
  reset(policy(), architecture().number);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device != 0) return note(cudaErrorInvalidDevice);
  Architecture const& a = architecture();
  *p = cudaDeviceProp{};
  constexpr std::string_view kName = "emulated CUDA (tests)";
  kName.copy(p->name, kName.size());
  const pid_t owner = has_own_gpu() ? getpid() : 0;
  std::memcpy(p->uuid.bytes, &owner, sizeof owner);
  std::size_t free = 0;
  cudaMemGetInfo(&free, &p->totalGlobalMem);
  p->major = a.number / 10;
  p->minor = a.number % 10;
  p->multiProcessorCount = a.processors;
  p->sharedMemPerBlock = 48 * kKib;
  p->sharedMemPerBlockOptin = a.max_shared;
  p->sharedMemPerMultiprocessor = a.shared_of_sm;
  p->reservedSharedMemPerBlock = kKib;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = a.number == 80 || a.number == 90 ? 2048 : 1536;
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 0x7fffffff;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->concurrentKernels = 1;
  p->asyncEngineCount = 2;
  return sticky();
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (cudaGetDeviceProperties(&p, device) == cudaErrorInvalidDevice) return cudaErrorInvalidDevice;
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    default:
      return note(cudaErrorNotSupported);
  }
  return sticky();
}
