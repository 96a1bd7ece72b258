#pragma once
// Stands before the toolkit's cuda_runtime.h where CUDA sources are compiled as C++. Types and
// prototypes are the toolkit's own; the device language and the typed launch come from cuda_host,
// the functions from linking with it.
#ifdef __CUDACC__
#error "cuda_host is for host compilers; nvcc has the real thing"
#endif
#define CUDA_ON_HOST 1

#include <cuda_runtime_api.h>
#include <vector_functions.h>

// A kernel's bound reaches the launch as that many NOPs before its entry (launch.cpp reads them).
#undef __launch_bounds__
#define CUDA_HOST_BOUND(threads, ...) \
  __attribute__((patchable_function_entry((threads), (threads)), noinline))
#define __launch_bounds__(...) CUDA_HOST_BOUND(__VA_ARGS__, 0)
// Shared memory needs a place of its own for every block: only SHARED_ARRAY and DYN_SHARED give it.
#undef __shared__
#define __shared__ CUDA_HOST_use_SHARED_ARRAY_or_DYN_SHARED

#include "cuda_host/device_language.h"
#include "cuda_host/launch.h"
