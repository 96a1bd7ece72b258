// What ends a kernel, and what a launch refuses.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel_test.h"

using namespace cuda_host;
using namespace cuda_host::test;
using Catch::Contains;
namespace ptx = lomo::kernels::ptx;

namespace {

enum class Fault {
  none,
  two_barriers,
  returns_early,
  returns_late,
  wrong_mask,
  other_lane,
  diverged_shuffle,
  half_warp,
  misaligned_load,
  misaligned_store,
  misaligned_pair,
  misaligned_matrix,
  matrix_from_global,
  copy_beyond,
  shared_beyond,
  global_beyond,
  global_tail,
  null_address,
  small_dynamic,
};

template <Fault kFault>
__global__ void __launch_bounds__(64) faulty(float* p) {
  SHARED_ARRAY(float, a, 64);
  const int t = threadIdx.x;
  a[t] = 1.0f;
  if constexpr (kFault == Fault::two_barriers) {
    if (t < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  }
  if constexpr (kFault == Fault::returns_early) {
    if (t == 0) return;
    __syncthreads();
  }
  if constexpr (kFault == Fault::returns_late) {
    if (t != 60) __syncthreads();
  }
  if constexpr (kFault == Fault::wrong_mask) {
    a[t] = __shfl_xor_sync(0x0000ffffu, a[t], 1);
  }
  if constexpr (kFault == Fault::other_lane) {
    if (t < 8) a[t] = __shfl_sync(0xffu, a[t], 20);
  }
  if constexpr (kFault == Fault::diverged_shuffle) {
    if (t % 2 == 0) {
      a[t] = __shfl_xor_sync(0xffffffffu, a[t], 1);
    } else {
      a[t] = __shfl_xor_sync(0xffffffffu, a[t], 2);
    }
  }
  if constexpr (kFault == Fault::half_warp) {
    if (t % 32 < 16) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }
  if constexpr (kFault == Fault::misaligned_load) p[t] = __uint_as_float(ptx::load16(p + 1).x);
  if constexpr (kFault == Fault::misaligned_store) ptx::store16(p + 2, uint4{});
  if constexpr (kFault == Fault::misaligned_pair) ptx::store8(p + 1, uint2{});
  std::uint32_t r[4];
  if constexpr (kFault == Fault::misaligned_matrix) ptx::ldmatrix_x4(r, a + 1);
  if constexpr (kFault == Fault::matrix_from_global) ptx::ldmatrix_x4(r, p);
  if constexpr (kFault == Fault::copy_beyond) ptx::cp_async16(a, p + 64);
  if constexpr (kFault == Fault::shared_beyond) a[t + 1] = 2.0f;
  if constexpr (kFault == Fault::global_beyond) p[t] = p[t + 4096];
  if constexpr (kFault == Fault::null_address) p[t] = *static_cast<float volatile*>(nullptr);
  if constexpr (kFault == Fault::small_dynamic) {
    struct Big {
      float values[100];
    };
    DYN_SHARED(Big, big);
    big.values[t] = 1.0f;
  }
  p[t] = a[t];
}

template <Fault kFault>
std::string report_of() {
  reset(Policy{});
  // 63 elements: the last of 64 threads writes beyond the end where the kernel is told to.
  float* const p = on_device<float>(kFault == Fault::global_tail ? 63 : 64);
  Shape shape;
  shape.block = dim3(64);
  shape.shared = 128;
  return failure_of(shape, faulty<kFault>, p);
}

__global__ void __launch_bounds__(96) bounded() {}
__global__ void unbounded() {}

cudaError_t launch_error(void (*kernel)(), dim3 grid, dim3 block, std::size_t shared = 0) {
  return test::launch({grid, block, shared}, kernel);
}

}  // namespace

TEST_CASE("a kernel that goes wrong is reported with its line") {
  CHECK(report_of<Fault::none>() == "");
  const auto check = [](std::string const& text, char const* what) {
    CHECK_THAT(text, Contains("test_failures.cpp:") && Contains(what) && Contains("thread ("));
  };
  check(report_of<Fault::two_barriers>(), "other threads wait at the one at");
  check(report_of<Fault::returns_early>(), "other threads of the block have returned");
  check(report_of<Fault::returns_late>(), "for a thread that returned");
  check(report_of<Fault::wrong_mask>(), "leaves out the calling lane");
  check(report_of<Fault::other_lane>(), "a shuffle reads lane 20");
  check(report_of<Fault::diverged_shuffle>(), "different warp operations");
  check(report_of<Fault::misaligned_load>(), "16 bytes read at an address");
  check(report_of<Fault::misaligned_store>(), "16 bytes written at an address");
  check(report_of<Fault::misaligned_pair>(), "8 bytes written at an address");
  check(report_of<Fault::misaligned_matrix>(), "ldmatrix from an address");
  check(report_of<Fault::matrix_from_global>(), "ldmatrix from outside shared memory");
  check(report_of<Fault::copy_beyond>(), "cp.async from outside any allocation");
  check(report_of<Fault::small_dynamic>(), "needs 400 bytes of dynamic shared memory");
}

TEST_CASE("a deadlock names where everybody waits") {
  const std::string text = report_of<Fault::half_warp>();
  CHECK_THAT(text, Contains("deadlock: 32 threads wait in") && Contains("test_failures.cpp:"));
  CHECK_THAT(text, Contains("__syncthreads") && Contains("of lanes ffffffff"));
}

#ifndef __SANITIZE_ADDRESS__  // it would end the program first, and says more
TEST_CASE("writes outside shared and device memory are found") {
  CHECK_THAT(report_of<Fault::shared_beyond>(), Contains("written to beyond the end of a ("));
  CHECK_THAT(report_of<Fault::global_tail>(), Contains("0 bytes beyond the end of an allocation"));
}

TEST_CASE("accesses where there is no memory fail the kernel, not the program") {
  CHECK_THAT(report_of<Fault::global_beyond>(), Contains("no memory; thread ("));
  CHECK_THAT(report_of<Fault::null_address>(), Contains("access to (nil)"));
}

TEST_CASE("the host cannot touch device memory") {
  reset();
  float* const p = on_device<float>(1);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    *static_cast<float volatile*>(p) = 1.0f;
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}
#endif

TEST_CASE("a failed kernel fails every later call, a refused one only its own") {
  reset();
  CHECK(launch_error(unbounded, dim3(1), dim3(2048)) == cudaErrorInvalidConfiguration);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(cudaPeekAtLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);

  REQUIRE(report_of<Fault::misaligned_load>() != "");
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  void* p = nullptr;
  CHECK(cudaMalloc(&p, 16) == cudaErrorLaunchFailure);
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  CHECK_THAT(cudaGetErrorString(cudaErrorLaunchFailure), Contains("test_failures.cpp:"));
}

TEST_CASE("launches are held to the shape of the device") {
  reset();
  CHECK(launch_error(bounded, dim3(1), dim3(96)) == cudaSuccess);
  CHECK(launch_error(bounded, dim3(1), dim3(97)) == cudaErrorInvalidConfiguration);
  CHECK_THAT(report(), Contains("__launch_bounds__(96)"));
  CHECK(launch_error(unbounded, dim3(1), dim3(1024)) == cudaSuccess);
  CHECK(launch_error(unbounded, dim3(1), dim3(1, 1, 65)) == cudaErrorInvalidConfiguration);
  CHECK(launch_error(unbounded, dim3(0), dim3(1)) == cudaErrorInvalidConfiguration);
  CHECK(launch_error(unbounded, dim3(1, 65536), dim3(1)) == cudaErrorInvalidConfiguration);
  CHECK(launch_error(unbounded, dim3(1, 1, 65536), dim3(1)) == cudaErrorInvalidConfiguration);
}

TEST_CASE("dynamic shared memory is held to the limit of the architecture") {
  const std::pair<int, int> limits[] = {{80, 163}, {86, 99}, {89, 99}, {90, 227}};
  for (auto const& [number, kib] : limits) {
    reset(policy_from_environment(), number);
    const int maximum = kib * 1024;
    CHECK(launch_error(bounded, dim3(1), dim3(32), 48 * 1024) == cudaSuccess);
    CHECK(launch_error(bounded, dim3(1), dim3(32), 48 * 1024 + 1) == cudaErrorInvalidValue);
    constexpr auto kMax = cudaFuncAttributeMaxDynamicSharedMemorySize;
    CHECK(cudaFuncSetAttribute(bounded, kMax, maximum + 1) == cudaErrorInvalidValue);
    CHECK(cudaFuncSetAttribute(bounded, kMax, maximum) == cudaSuccess);
    CHECK(launch_error(bounded, dim3(1), dim3(32), static_cast<std::size_t>(maximum)) ==
          cudaSuccess);
    CHECK(launch_error(unbounded, dim3(1), dim3(32), 48 * 1024 + 1) == cudaErrorInvalidValue);
    cudaDeviceProp properties;
    REQUIRE(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
    CHECK(properties.major * 10 + properties.minor == number);
    CHECK(properties.sharedMemPerBlockOptin == static_cast<std::size_t>(maximum));
  }
}
