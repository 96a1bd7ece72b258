#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "lomo/backend/ops.h"
#include "lomo/core/dtype.h"
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

/// words[4 c + k] = word k of philox(key, counter + c): the ten rounds written out, since only
/// straight code is vectorised over the counters.
LOMO_INLINE inline void philox_words(RandomKey key, std::uint64_t counter, std::int64_t counters,
                                     std::uint32_t* words) {
  const auto k0 = static_cast<std::uint32_t>(key.stream);
  const auto k1 = static_cast<std::uint32_t>(key.stream >> 32);
#pragma GCC ivdep
  for (std::int64_t c = 0; c < counters; ++c) {
    const std::uint64_t index = counter + static_cast<std::uint64_t>(c);
    auto c0 = static_cast<std::uint32_t>(index);
    auto c1 = static_cast<std::uint32_t>(index >> 32);
    auto c2 = static_cast<std::uint32_t>(key.step);
    auto c3 = static_cast<std::uint32_t>(key.step >> 32);
    const auto turn = [&](std::uint32_t round) LOMO_INLINE {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
      c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ (k0 + round * 0x9E3779B9u);
      c1 = static_cast<std::uint32_t>(p1);
      c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ (k1 + round * 0xBB67AE85u);
      c3 = static_cast<std::uint32_t>(p0);
    };
    [&]<std::uint32_t... round>(std::integer_sequence<std::uint32_t, round...>) LOMO_INLINE {
      (turn(round), ...);
    }
    (std::make_integer_sequence<std::uint32_t, 10>());
    words[4 * c] = c0;
    words[4 * c + 1] = c1;
    words[4 * c + 2] = c2;
    words[4 * c + 3] = c3;
  }
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
    vector_call([=, key = plan.key]() LOMO_INLINE {
      constexpr std::int64_t kBlock = 512;
      std::uint32_t words[kBlock + 4];
      const std::int64_t skip = first % 4;  // words of the first counter before w[0]
      for (std::int64_t done = 0; done < n; done += kBlock) {
        const std::int64_t count = std::min(kBlock, n - done);
        philox_words(key, static_cast<std::uint64_t>((first + done) / 4), (count + skip + 3) / 4,
                     words);
#pragma GCC ivdep
        for (std::int64_t i = 0; i < count; ++i) {
          const float next = value(done + i, to_float(w[done + i]));
          w[done + i] = round_stochastically(next, words[skip + i]);
        }
      }
    });
  }
}

}  // namespace lomo::cpu
