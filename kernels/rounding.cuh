#pragma once
// The stored weight: nearest, or stochastic rounding with counter-based random numbers, bit for bit
// what the CPU engine stores. Philox4x32-10 (Salmon et al. 2011), counter = (element / 4, step),
// key = stream; element e takes word e % 4.
#include "storage.cuh"
#include "update.h"

namespace lomo::kernels {

__device__ __forceinline__ uint4 philox(RoundingRule const& rule, std::uint64_t index) {
  auto c0 = static_cast<std::uint32_t>(index);
  auto c1 = static_cast<std::uint32_t>(index >> 32);
  auto c2 = static_cast<std::uint32_t>(rule.step);
  auto c3 = static_cast<std::uint32_t>(rule.step >> 32);
  auto k0 = static_cast<std::uint32_t>(rule.stream);
  auto k1 = static_cast<std::uint32_t>(rule.stream >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

__device__ __forceinline__ std::uint32_t word_of(uint4 words, int k) {
  return k == 0 ? words.x : k == 1 ? words.y : k == 2 ? words.z : words.w;
}

/// The bits of x rounded to one of its neighbours in T, up with the probability of the distance to
/// the lower one. Non-finite numbers pass; a finite one never becomes infinite.
template <class T>
__device__ std::uint32_t stochastic_bits(float x, std::uint32_t random);

/// Adds 16 random bits below those that bf16 keeps and truncates.
template <>
__device__ __forceinline__ std::uint32_t stochastic_bits<bf16>(float x, std::uint32_t random) {
  const std::uint32_t u = __float_as_uint(x);
  const std::uint32_t sum = u + (random >> 16);
  const std::uint32_t kept = (sum & 0x7f800000u) == 0x7f800000u ? u : sum;
  const std::uint32_t quiet = (u & 0x7fffffffu) > 0x7f800000u ? 0x400000u : 0u;
  return (kept | quiet) >> 16;
}

/// The same with 13 random bits as far as f16 is normal; below 2^-14 its neighbours lie 2^-24 apart
/// and a fraction of that is compared with 24 random bits. Numbers beyond 65504 become it.
template <>
__device__ __forceinline__ std::uint32_t stochastic_bits<f16>(float x, std::uint32_t random) {
  const std::uint32_t u = __float_as_uint(x);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t sign = (u >> 16) & 0x8000u;
  if (magnitude >= 0x7f800000u) {
    return sign | (magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : 0x7c00u);
  }
  if (magnitude >= 0x477fe000u) return sign | 0x7bffu;
  if (magnitude >= 0x38800000u) return sign | ((magnitude + (random >> 19) - (112u << 23)) >> 13);
  const float quanta = __uint_as_float(magnitude) * 16777216.0f;  // of 2^-24
  const auto whole = static_cast<std::uint32_t>(quanta);
  const float fraction = quanta - static_cast<float>(whole);
  const float threshold = static_cast<float>(random >> 8) * (1.0f / 16777216.0f);
  return sign | (whole + (threshold < fraction ? 1u : 0u));
}

/// w[i] = round(x[i]); w[0] is element `element` of its tensor, a multiple of 4 when N is.
template <int N, class T>
__device__ __forceinline__ void store_rounded(T* w, float const (&x)[N], RoundingRule const& rule,
                                              std::int64_t element) {
  if constexpr (std::is_same_v<T, float>) {
    store(w, x);
  } else {
    if (!rule.stochastic) {
      store(w, x);
    } else if constexpr (N == 1) {
      const uint4 words = philox(rule, static_cast<std::uint64_t>(element) / 4);
      *w = from_bits<T>(static_cast<std::uint16_t>(
          stochastic_bits<T>(x[0], word_of(words, static_cast<int>(element % 4)))));
    } else {
      const uint4 words = philox(rule, static_cast<std::uint64_t>(element) / 4);
      std::uint32_t bits[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) bits[k] = stochastic_bits<T>(x[k], word_of(words, k));
      static_assert(N == 4, "8 bytes of a 16-bit type");
      ptx::store8(w, make_uint2(bits[0] | bits[1] << 16, bits[2] | bits[3] << 16));
    }
  }
}

}  // namespace lomo::kernels
