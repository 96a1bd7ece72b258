#pragma once
// The stored weight: nearest, or stochastic rounding with counter-based random numbers, bit for bit
// what the CPU engine stores. Philox4x32-10 (Salmon et al. 2011), counter = (element / 4, step),
// key = stream; element e takes word e % 4.
#include "storage.cuh"
#include "update.h"
#include "update_formulas.h"

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

/// The bits of x rounded to one of its neighbours in T, by chance; see formulas.
template <class T>
__device__ __forceinline__ std::uint32_t stochastic_bits(float x, std::uint32_t random) {
  if constexpr (std::is_same_v<T, bf16>) return formulas::stochastic_bf16(x, random);
  return formulas::stochastic_f16(x, random);
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
