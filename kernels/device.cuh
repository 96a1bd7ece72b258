#pragma once
// What kernels may use of the device: shared memory, and wrappers for the instructions that CUDA
// C++ has no name for. Knows the CUDA runtime only. The same kernels compile as C++ against
// tests/cuda_host, which defines CUDA_ON_HOST: every wrapper has its hosted body here, under that
// macro, and no other file of this folder asks for it.
//
// Rules that keep kernels compiling in both worlds:
//   - launch with cudaLaunchKernelEx, never <<<>>>; __launch_bounds__ on every kernel;
//   - shared memory by SHARED_ARRAY and DYN_SHARED, never a bare __shared__;
//   - `const int thread = threadIdx.x;`, never `auto`: the indices are objects on the host;
//   - no cooperative groups, no float atomics, no block waiting for another block.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#ifdef CUDA_ON_HOST
/// T name[n] in shared memory.
#define SHARED_ARRAY(T, name, n) \
  T(&name)[n] = cuda_host::shared_array<T[n]>([] {}, #name, __FILE__, __LINE__)
/// T& name over the dynamic shared memory of the launch, which must be at least sizeof(T).
#define DYN_SHARED(T, name) T& name = cuda_host::dynamic_shared<T>(__FILE__, __LINE__)
/// Where a wrapper was called from, for the messages of the host.
#define KERNEL_SITE_ONLY cuda_host::Site site = cuda_host::Site(__builtin_FILE(), __builtin_LINE())
#define KERNEL_SITE , KERNEL_SITE_ONLY
#else
#define SHARED_ARRAY(T, name, n) __shared__ T name[n]
#define DYN_SHARED(T, name)                                      \
  extern __shared__ __align__(128) unsigned char name##_bytes[]; \
  T& name = *reinterpret_cast<T*>(name##_bytes)
#define KERNEL_SITE_ONLY
#define KERNEL_SITE
#endif

namespace lomo::kernels::ptx {

/// 16 bytes at a 16-byte aligned address.
__device__ __forceinline__ uint4 load16(void const* p KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  return cuda_host::load16(p, site);
#else
  return *static_cast<uint4 const*>(p);
#endif
}

/// The same from global memory that no thread writes while the kernel runs.
__device__ __forceinline__ uint4 load16_nc(void const* p KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  return cuda_host::load16(p, site);
#else
  return __ldg(static_cast<uint4 const*>(p));
#endif
}

__device__ __forceinline__ void store16(void* p, uint4 v KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  cuda_host::store16(p, v, site);
#else
  *static_cast<uint4*>(p) = v;
#endif
}

/// 8 bytes at an 8-byte aligned address.
__device__ __forceinline__ uint2 load8(void const* p KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  return cuda_host::load8(p, site);
#else
  return *static_cast<uint2 const*>(p);
#endif
}

__device__ __forceinline__ void store8(void* p, uint2 v KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  cuda_host::store8(p, v, site);
#else
  *static_cast<uint2*>(p) = v;
#endif
}

/// c (16,8) += a (16,16) b (16,8), T = __nv_bfloat16 or __half, sums in fp32. With g = lane / 4 and
/// q = lane % 4, the pairs of columns 2q, 2q + 1 of
///   a: rows g, g + 8 of the left half, then rows g, g + 8 of the right half (8 columns further
///   on); c: row g, then row g + 8; b: the pairs of rows 2q, 2q + 1 of column g, then the pair 8
///   rows further down.
/// All 32 lanes.
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&c)[4], std::uint32_t const (&a)[4],
                                             std::uint32_t const (&b)[2] KERNEL_SITE) {
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
#ifdef CUDA_ON_HOST
  cuda_host::mma_m16n8k16(std::is_same_v<T, __half>, c, a, b, site);
#else
  if constexpr (std::is_same_v<T, __half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#endif
}

/// Four 8x8 matrices of 2-byte elements from shared memory. Lane 8 i + j names row j of matrix i
/// (16 aligned bytes); register i of lane L receives elements 2 (L % 4), 2 (L % 4) + 1 of row L / 4
/// of matrix i. All 32 lanes.
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], void const* row KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  cuda_host::ldmatrix_x4(false, r, row, site);
#else
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
#endif
}

/// The same, each matrix transposed: lane L receives rows 2 (L % 4), 2 (L % 4) + 1 of column L / 4.
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4],
                                                  void const* row KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  cuda_host::ldmatrix_x4(true, r, row, site);
#else
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
#endif
}

/// Begins to copy 16 bytes from global to shared memory, both 16-byte aligned; without `valid`
/// reads nothing and writes zeros. `to` is undefined until this thread has waited for the copy's
/// group, and for other threads until a barrier after that.
__device__ __forceinline__ void cp_async16(void* to, void const* from,
                                           bool valid = true KERNEL_SITE) {
#ifdef CUDA_ON_HOST
  cuda_host::cp_async16(to, from, valid, site);
#else
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(at), "l"(from), "r"(bytes)
               : "memory");
#endif
}

/// Closes the group of the copies begun since the last call; a group may be empty.
__device__ __forceinline__ void cp_async_commit() {
#ifdef CUDA_ON_HOST
  cuda_host::cp_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most the N latest groups of this thread are under way.
template <int N>
__device__ __forceinline__ void cp_async_wait() {
#ifdef CUDA_ON_HOST
  cuda_host::cp_async_wait(N);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

}  // namespace lomo::kernels::ptx

#undef KERNEL_SITE
#undef KERNEL_SITE_ONLY
