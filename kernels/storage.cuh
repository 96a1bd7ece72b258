#pragma once
// Storage types, and loads and stores of N elements of a row as floats: 16 bytes at a time where N
// elements fill them, 8 where they fill half of them, one element otherwise.
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "device.cuh"

namespace lomo::kernels {

using bf16 = __nv_bfloat16;
using f16 = __half;

/// Elements of T in 16 bytes.
template <class T>
inline constexpr int kVector = 16 / static_cast<int>(sizeof(T));

__device__ __forceinline__ float to_float(float x) {
  return x;
}
__device__ __forceinline__ float to_float(bf16 x) {
  return __bfloat162float(x);
}
__device__ __forceinline__ float to_float(f16 x) {
  return __half2float(x);
}

/// The 16-bit number of these bits. (On the host the toolkit has no __ushort_as_half before 12.2.)
template <class T>
__device__ __forceinline__ T from_bits(std::uint16_t bits) {
  if constexpr (std::is_same_v<T, bf16>) return bf16(__nv_bfloat16_raw{bits});
  if constexpr (std::is_same_v<T, f16>) return f16(__half_raw{bits});
}

/// Nearest, ties to even.
template <class T>
__device__ __forceinline__ T round_to(float x) {
  if constexpr (std::is_same_v<T, bf16>) return __float2bfloat16_rn(x);
  if constexpr (std::is_same_v<T, f16>) return __float2half_rn(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

/// Two neighbours as one word, the first in the lower half.
template <class T>
__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  std::uint32_t word;
  if constexpr (std::is_same_v<T, bf16>) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    memcpy(&word, &pair, sizeof word);
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    memcpy(&word, &pair, sizeof word);
  }
  return word;
}
template <class T>
__device__ __forceinline__ void unpack(float& low, float& high, std::uint32_t word) {
  if constexpr (std::is_same_v<T, bf16>) {
    low = __uint_as_float(word << 16);
    high = __uint_as_float(word & 0xffff0000u);
  } else {
    low = __half2float(from_bits<T>(static_cast<std::uint16_t>(word & 0xffffu)));
    high = __half2float(from_bits<T>(static_cast<std::uint16_t>(word >> 16)));
  }
}

/// x[i] = p[i]. Where N elements are a multiple of 16 bytes p must be 16-byte aligned; where they
/// are 8 bytes, 8-byte aligned.
template <int N, class T>
__device__ __forceinline__ void load(float (&x)[N], T const* p) {
  if constexpr (N % kVector<T> == 0) {
#pragma unroll
    for (int i = 0; i < N; i += kVector<T>) {
      const uint4 four = ptx::load16(p + i);
      const std::uint32_t words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if constexpr (sizeof(T) == 4) {
          x[i + k] = __uint_as_float(words[k]);
        } else {
          unpack<T>(x[i + 2 * k], x[i + 2 * k + 1], words[k]);
        }
      }
    }
  } else if constexpr (N == 4) {
    const uint2 two = ptx::load8(p);
    unpack<T>(x[0], x[1], two.x);
    unpack<T>(x[2], x[3], two.y);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) x[i] = to_float(p[i]);
  }
}

/// p[i] = x[i] rounded to nearest. Alignment as for load.
template <int N, class T>
__device__ __forceinline__ void store(T* p, float const (&x)[N]) {
  if constexpr (N % kVector<T> == 0) {
#pragma unroll
    for (int i = 0; i < N; i += kVector<T>) {
      std::uint32_t words[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if constexpr (sizeof(T) == 4) {
          words[k] = __float_as_uint(x[i + k]);
        } else {
          words[k] = pack<T>(x[i + 2 * k], x[i + 2 * k + 1]);
        }
      }
      ptx::store16(p + i, make_uint4(words[0], words[1], words[2], words[3]));
    }
  } else if constexpr (N == 4) {
    ptx::store8(p, make_uint2(pack<T>(x[0], x[1]), pack<T>(x[2], x[3])));
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) p[i] = round_to<T>(x[i]);
  }
}

/// Copies a unit of 2, 4, 8 or 16 bytes.
template <class Unit>
__device__ __forceinline__ void copy_unit(Unit* to, Unit const* from) {
  if constexpr (sizeof(Unit) == 16) {
    ptx::store16(to, ptx::load16(from));
  } else {
    *to = *from;
  }
}

}  // namespace lomo::kernels
