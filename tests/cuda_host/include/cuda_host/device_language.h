#pragma once
// CUDA's device language as C++: indices, barriers, warp operations, atomics, intrinsics.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda_host/device.h"

// --- Indices: objects, since gridDim and blockDim are also members of cudaLaunchConfig_t.
// ---------

namespace cuda_host {

template <class Which, int Axis>
struct Index {
  operator unsigned() const { return Which::value(Axis); }
};
template <class Which>
struct Index3 {
  [[no_unique_address]] Index<Which, 0> x;
  [[no_unique_address]] Index<Which, 1> y;
  [[no_unique_address]] Index<Which, 2> z;
};
struct ThreadIndex {
  static unsigned value(int axis) { return thread_index(axis); }
};
struct BlockIndex {
  static unsigned value(int axis) { return block_index(axis); }
};
struct BlockExtent {
  static unsigned value(int axis) { return block_extent(axis); }
};
struct GridExtent {
  static unsigned value(int axis) { return grid_extent(axis); }
};

/// Bits of a value of up to 8 bytes as another type.
template <class To, class From>
To bits(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}

}  // namespace cuda_host

inline constexpr cuda_host::Index3<cuda_host::ThreadIndex> threadIdx{};
inline constexpr cuda_host::Index3<cuda_host::BlockIndex> blockIdx{};
inline constexpr cuda_host::Index3<cuda_host::BlockExtent> blockDim{};
inline constexpr cuda_host::Index3<cuda_host::GridExtent> gridDim{};
inline constexpr int warpSize = 32;

#define CUDA_HOST_SITE cuda_host::Site site = cuda_host::Site(__builtin_FILE(), __builtin_LINE())

// --- Barriers
// -------------------------------------------------------------------------------------

inline void __syncthreads(CUDA_HOST_SITE) {
  cuda_host::barrier(0, site);
}
inline int __syncthreads_count(int predicate, CUDA_HOST_SITE) {
  return cuda_host::barrier(predicate != 0, site);
}
inline int __syncthreads_or(int predicate, CUDA_HOST_SITE) {
  return cuda_host::barrier(predicate != 0, site) > 0;
}
inline int __syncthreads_and(int predicate, CUDA_HOST_SITE) {
  return cuda_host::barrier(predicate == 0, site) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_HOST_SITE) {
  cuda_host::sync_warp(mask, site);
}
// Threads of a block run one at a time and blocks one after another: memory is always in order.
inline void __threadfence() {}
inline void __threadfence_block() {}

// --- Warp operations
// ------------------------------------------------------------------------------

inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_HOST_SITE) {
  return cuda_host::ballot(mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, CUDA_HOST_SITE) {
  return cuda_host::ballot(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CUDA_HOST_SITE) {
  return cuda_host::ballot(mask, !predicate, site) == 0;
}

namespace cuda_host {
template <class T>
T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_trivially_copyable_v<T>);
  T result;
  exchange(mask, &value, &result, sizeof(T), source, site);
  return result;
}
/// First lane of the segment of `width` lanes that this lane is in.
inline int segment(int width) {
  return lane() & ~(width - 1);
}
}  // namespace cuda_host

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_HOST_SITE) {
  return cuda_host::shuffle(mask, value, cuda_host::segment(width) + (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32, CUDA_HOST_SITE) {
  const int source = cuda_host::lane() ^ flip;
  const bool inside = source < cuda_host::segment(width) + width;
  return cuda_host::shuffle(mask, value, inside ? source : cuda_host::lane(), site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CUDA_HOST_SITE) {
  const int source = cuda_host::lane() - static_cast<int>(by);
  const bool inside = source >= cuda_host::segment(width);
  return cuda_host::shuffle(mask, value, inside ? source : cuda_host::lane(), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CUDA_HOST_SITE) {
  const int source = cuda_host::lane() + static_cast<int>(by);
  const bool inside = source < cuda_host::segment(width) + width;
  return cuda_host::shuffle(mask, value, inside ? source : cuda_host::lane(), site);
}

// --- Atomics: plain read and write, for the reason given at __threadfence; never a race, and not
// watched.
#define CUDA_HOST_ATOMIC \
  template <class T>     \
  __attribute__((no_sanitize("thread")))

CUDA_HOST_ATOMIC
T atomicAdd(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = static_cast<T>(old + x);
  return old;
}
CUDA_HOST_ATOMIC
T atomicMax(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  if (x > old) *p = x;
  return old;
}
CUDA_HOST_ATOMIC
T atomicMin(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  if (x < old) *p = x;
  return old;
}
CUDA_HOST_ATOMIC
T atomicOr(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = old | x;
  return old;
}
CUDA_HOST_ATOMIC
T atomicExch(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = x;
  return old;
}
CUDA_HOST_ATOMIC
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
  const T old = *p;
  if (old == expected) *p = x;
  return old;
}
#undef CUDA_HOST_ATOMIC

// --- Intrinsics. The approximate ones are exact here; hardware is a few units in the last place
// off.

template <class T>
T __ldg(T const* p) {
  return *p;
}

inline float __uint_as_float(unsigned x) {
  return cuda_host::bits<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return cuda_host::bits<unsigned>(x);
}
inline float __int_as_float(int x) {
  return cuda_host::bits<float>(x);
}
inline int __float_as_int(float x) {
  return cuda_host::bits<int>(x);
}
inline double __longlong_as_double(long long x) {
  return cuda_host::bits<double>(x);
}
inline long long __double_as_longlong(double x) {
  return cuda_host::bits<long long>(x);
}

inline float rsqrtf(float x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}
inline double rsqrt(double x) {
  return 1.0 / std::sqrt(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float __fsqrt_rn(float x) {
  return std::sqrt(x);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
// The C library declares functions of these names for itself.
#define __expf(x) (::expf(x))
#define __exp10f(x) (::exp10f(x))
#define __logf(x) (::logf(x))
#define __log2f(x) (::log2f(x))
#define __sinf(x) (::sinf(x))
#define __cosf(x) (::cosf(x))
#define __powf(x, y) (::powf((x), (y)))

inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
inline int __clz(int x) {
  return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32);
}

#define CUDA_HOST_MIN_MAX(T) \
  inline T min(T a, T b) {   \
    return b < a ? b : a;    \
  }                          \
  inline T max(T a, T b) {   \
    return a < b ? b : a;    \
  }
CUDA_HOST_MIN_MAX(int)
CUDA_HOST_MIN_MAX(unsigned)
CUDA_HOST_MIN_MAX(long)
CUDA_HOST_MIN_MAX(unsigned long)
CUDA_HOST_MIN_MAX(long long)
CUDA_HOST_MIN_MAX(unsigned long long)
#undef CUDA_HOST_MIN_MAX
// Of a number and a NaN, the number.
inline float min(float a, float b) {
  return std::fmin(a, b);
}
inline float max(float a, float b) {
  return std::fmax(a, b);
}
inline double min(double a, double b) {
  return std::fmin(a, b);
}
inline double max(double a, double b) {
  return std::fmax(a, b);
}

#undef CUDA_HOST_SITE
