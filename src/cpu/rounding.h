#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "lomo/backend/ops.h"
#include "lomo/core/dtype.h"
#include "philox_words.h"
#include "vector_loop.h"

/// Stores of updated weights, rounded to their storage type.
namespace lomo::cpu {

/// Rounds x to one of its neighbours in T, up with the probability of the distance to the lower
/// one. Non-finite numbers pass; a finite one never becomes infinite.
template <class T>
T round_stochastically(float x, std::uint32_t random);

/// Adds 16 random bits below those that bf16 keeps and truncates.
template <>
LOMO_INLINE inline bf16 round_stochastically<bf16>(float x, std::uint32_t random) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t sum = u + (random >> 16);
  const bool overflows = (sum & 0x7f800000u) == 0x7f800000u;
  const std::uint32_t kept = overflows ? u : sum;
  const std::uint32_t quiet = magnitude > 0x7f800000u ? 0x400000u : 0u;  // NaN keeps a set bit
  return {static_cast<std::uint16_t>((kept | quiet) >> 16)};
}

/// The same with 13 random bits, of which f32 has just so many more than f16, as far as f16 is
/// normal; below 2^-14 its neighbours lie 2^-24 apart and a fraction of that is compared with 24
/// random bits. Numbers beyond the largest, 65504, become it.
template <>
LOMO_INLINE inline f16 round_stochastically<f16>(float x, std::uint32_t random) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t sum = (magnitude + (random >> 19) - (112u << 23)) >> 13;
  const std::uint32_t normal = magnitude >= 0x477fe000u ? 0x7bffu : sum;
  const bool is_small = magnitude < 0x38800000u;
  const float quanta = is_small ? std::bit_cast<float>(magnitude) * 0x1p24f : 0.0f;
  const auto whole = static_cast<std::int32_t>(quanta);
  const float fraction = quanta - static_cast<float>(whole);
  const float threshold = static_cast<float>(static_cast<std::int32_t>(random >> 8)) * 0x1p-24f;
  const std::uint32_t small = static_cast<std::uint32_t>(whole) + (threshold < fraction ? 1u : 0u);
  const std::uint32_t finite = is_small ? small : normal;
  const std::uint32_t nan = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  const std::uint32_t special = magnitude > 0x7f800000u ? nan : 0x7c00u;
  const std::uint32_t bits = magnitude >= 0x7f800000u ? special : finite;
  return {static_cast<std::uint16_t>(bits | ((u >> 16) & 0x8000u))};
}

/// w[i] = round(value(i, w[i] as f32)) for i in [0, n); w[0] has index `first` in its tensor.
template <class T, class Value>
void store_rounded(T* w, std::int64_t n, RoundingPlan const& plan, std::int64_t first,
                   Value value) {
  if (std::is_same_v<T, float> || plan.mode == Rounding::nearest) {
    return vector_loop(
        0, n, [=](std::int64_t i) LOMO_INLINE { w[i] = round_to<T>(value(i, to_float(w[i]))); });
  }
  if constexpr (!std::is_same_v<T, float>) {
    constexpr std::int64_t kBlock = 1024;
    alignas(64) std::array<std::uint32_t, kBlock + kPhiloxWords> buffer;
    const std::int64_t skip = first % 4;  // words of the first counter before w[0]
    std::uint32_t const* const words = buffer.data() + skip;
    for (std::int64_t done = 0; done < n; done += kBlock) {
      const std::int64_t last = std::min(done + kBlock, n);
      philox_words(plan.key, static_cast<std::uint64_t>((first + done) / 4),
                   (last - done + skip + 3) / 4, buffer.data());
      vector_loop(done, last, [=](std::int64_t i) LOMO_INLINE {
        w[i] = round_stochastically<T>(value(i, to_float(w[i])), words[i - done]);
      });
    }
  }
}

}  // namespace lomo::cpu
