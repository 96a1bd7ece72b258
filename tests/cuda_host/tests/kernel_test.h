#pragma once
// What the tests here share: launching, and device copies of vectors.
#include <string>
#include <vector>

#include "cuda_host/control.h"
#include "cuda_host/orders.h"
#include "device.cuh"
#include "support/catch.h"

namespace cuda_host::test {

template <class T>
T* to_device(std::vector<T> const& x) {
  T* p = nullptr;
  REQUIRE(cudaMalloc(&p, x.size() * sizeof(T)) == cudaSuccess);
  REQUIRE(cudaMemcpy(p, x.data(), x.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  return p;
}

/// `n` elements that nobody has written.
template <class T>
T* on_device(std::size_t n) {
  T* p = nullptr;
  REQUIRE(cudaMalloc(&p, n * sizeof(T)) == cudaSuccess);
  return p;
}

template <class T>
std::vector<T> to_host(T const* p, std::size_t n) {
  std::vector<T> x(n);
  REQUIRE(cudaMemcpy(x.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
  return x;
}

struct Shape {
  dim3 grid = dim3(1), block = dim3(32);
  std::size_t shared = 0;
  cudaStream_t stream = nullptr;
};

template <class... P, class... A>
cudaError_t launch(Shape const& shape, void (*kernel)(P...), A... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared;
  config.stream = shape.stream;
  return cudaLaunchKernelEx(&config, kernel, args...);
}

/// Enqueues, waits, and gives the report of the failure; empty if there was none.
template <class... P, class... A>
std::string failure_of(Shape const& shape, void (*kernel)(P...), A... args) {
  if (launch(shape, kernel, args...) == cudaSuccess) cudaDeviceSynchronize();
  return report();
}

}  // namespace cuda_host::test
