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

/// Adds 16 random bits below those that bf16 keeps and truncates: up with the probability of the
/// distance to the lower neighbour. Non-finite numbers pass; a finite one never becomes infinite.
LOMO_INLINE inline bf16 round_stochastically(float x, std::uint32_t random) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t sum = u + (random >> 16);
  const bool overflows = (sum & 0x7f800000u) == 0x7f800000u;
  const std::uint32_t kept = overflows ? u : sum;
  const std::uint32_t quiet = magnitude > 0x7f800000u ? 0x400000u : 0u;  // NaN keeps a set bit
  return {static_cast<std::uint16_t>((kept | quiet) >> 16)};
}

/// w[i] = round(value(i, w[i] as f32)) for i in [0, n); w[0] has index `first` in its tensor.
template <class T, class Value>
void store_rounded(T* w, std::int64_t n, RoundingPlan const& plan, std::int64_t first,
                   Value value) {
  if (std::is_same_v<T, float> || plan.mode == Rounding::nearest) {
    return vector_loop(
        0, n, [=](std::int64_t i) LOMO_INLINE { w[i] = round_to<T>(value(i, to_float(w[i]))); });
  }
  if constexpr (std::is_same_v<T, bf16>) {
    constexpr std::int64_t kBlock = 1024;
    alignas(64) std::array<std::uint32_t, kBlock + kPhiloxWords> buffer;
    const std::int64_t skip = first % 4;  // words of the first counter before w[0]
    std::uint32_t const* const words = buffer.data() + skip;
    for (std::int64_t done = 0; done < n; done += kBlock) {
      const std::int64_t last = std::min(done + kBlock, n);
      philox_words(plan.key, static_cast<std::uint64_t>((first + done) / 4),
                   (last - done + skip + 3) / 4, buffer.data());
      vector_loop(done, last, [=](std::int64_t i) LOMO_INLINE {
        w[i] = round_stochastically(value(i, to_float(w[i])), words[i - done]);
      });
    }
  }
}

}  // namespace lomo::cpu
