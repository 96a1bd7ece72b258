#pragma once
// The typed entry points of the toolkit's cuda_runtime.h, for kernels that are C++ functions.
#include <cuda_runtime_api.h>

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cuda_host {

/// Checks the launch as the driver does and enqueues it; `thread` is the work of one CUDA thread.
cudaError_t launch(cudaLaunchConfig_t const& config, void const* kernel,
                   std::function<void()> thread);

}  // namespace cuda_host

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(cudaLaunchConfig_t const* config, void (*kernel)(P...),
                               A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "one argument for each parameter of the kernel");
  return cuda_host::launch(*config, reinterpret_cast<void const*>(kernel),
                           [kernel, values = std::tuple<std::remove_cv_t<P>...>(
                                        static_cast<P>(args)...)] { std::apply(kernel, values); });
}

template <class T>
requires std::is_function_v<T> cudaError_t cudaFuncSetAttribute(T* kernel,
                                                                cudaFuncAttribute attribute,
                                                                int value) {
  return cudaFuncSetAttribute(reinterpret_cast<void const*>(kernel), attribute, value);
}

template <class T>
requires(!std::is_void_v<T>) cudaError_t cudaMalloc(T** pointer, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(pointer), bytes);
}

template <class T>
requires(!std::is_void_v<T>) cudaError_t cudaMallocHost(T** pointer, std::size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(pointer), bytes);
}
