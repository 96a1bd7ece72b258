#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "lomo/backend/ops.h"
#include "lomo/core/dtype.h"
#include "philox_words.h"
#include "scratch.h"
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

constexpr std::int64_t kRoundingBlock = 1024;

/// to[i] = round(value(i)) for i in [0, n), n at most kRoundingBlock; to[0] has index `first` in
/// its tensor.
template <class T, class Value>
void store_block(T* to, std::int64_t n, RoundingPlan const& plan, std::int64_t first, Value value) {
  if constexpr (!std::is_same_v<T, float>) {
    if (plan.mode == Rounding::stochastic) {
      alignas(64) std::array<std::uint32_t, kRoundingBlock + kPhiloxWords> buffer;
      const std::int64_t skip = first % 4;  // words of the first counter before to[0]
      std::uint32_t const* const words = buffer.data() + skip;
      philox_words(plan.key, static_cast<std::uint64_t>(first / 4), (n + skip + 3) / 4,
                   buffer.data());
      return vector_loop(0, n, [=](std::int64_t i) LOMO_INLINE {
        to[i] = round_stochastically<T>(value(i), words[i]);
      });
    }
  }
  vector_loop(0, n, [=](std::int64_t i) LOMO_INLINE { to[i] = round_to<T>(value(i)); });
}

/// See RoundingPlan::rounding_stats.
using RoundingStats = std::array<double, 4>;

/// Adds what became of n weights that were `before`, should have become `wanted` and are `after`.
template <class T>
void add_to(RoundingStats& rounding_stats, T const* before, float const* wanted, T const* after,
            std::int64_t n) {
  const auto sum = [n](auto term) { return vector_sum(0, n, term); };
  rounding_stats[0] +=
      sum([=](std::int64_t i) LOMO_INLINE { return wanted[i] != to_float(before[i]) ? 1.0 : 0.0; });
  rounding_stats[1] += sum([=](std::int64_t i) LOMO_INLINE {
    return to_float(after[i]) != to_float(before[i]) ? 1.0 : 0.0;
  });
  rounding_stats[2] += sum([=](std::int64_t i) LOMO_INLINE {
    const float old = to_float(before[i]);
    return static_cast<double>(to_float(after[i]) - old) * static_cast<double>(wanted[i] - old);
  });
  rounding_stats[3] += sum([=](std::int64_t i) LOMO_INLINE {
    const double step = wanted[i] - to_float(before[i]);
    return step * step;
  });
}

/// w[i] = round(value(i, w[i] as f32)) for i in [0, n); w[0] has index `first` in its tensor.
/// `rounding_stats`, when not null, is added to.
template <class T, class Value>
void store_rounded(T* w, std::int64_t n, RoundingPlan const& plan, std::int64_t first,
                   RoundingStats* rounding_stats, Value value) {
  for (std::int64_t done = 0; done < n; done += kRoundingBlock) {
    const std::int64_t count = std::min(kRoundingBlock, n - done);
    T* const block = w + done;
    if (rounding_stats == nullptr) {
      store_block(block, count, plan, first + done,
                  [=](std::int64_t i) LOMO_INLINE { return value(done + i, to_float(block[i])); });
      continue;
    }
    alignas(64) std::array<T, kRoundingBlock> old;
    alignas(64) std::array<float, kRoundingBlock> updated;
    T* const before = old.data();
    float* const wanted = updated.data();
    vector_loop(0, count, [=](std::int64_t i) LOMO_INLINE {
      before[i] = block[i];
      wanted[i] = value(done + i, to_float(block[i]));
    });
    store_block(block, count, plan, first + done,
                [=](std::int64_t i) LOMO_INLINE { return wanted[i]; });
    add_to(*rounding_stats, before, wanted, block, count);
  }
}

/// The tallies of an update's chunks, added up in their order when the update is done: the same
/// bits on any number of threads.
class Tallies {
 public:
  /// None are kept when the plan wants none.
  Tallies(Scratch& scratch, RoundingPlan const& plan, std::int64_t chunks)
      : plan_(plan), chunks_(chunks) {
    if (!plan.rounding_stats) return;
    sums_ = scratch.take<double>(4 * chunks);
    std::fill_n(sums_, 4 * chunks, 0.0);
  }
  RoundingStats* at(std::int64_t chunk) const {
    return sums_ != nullptr ? reinterpret_cast<RoundingStats*>(sums_) + chunk : nullptr;
  }
  void finish() const {
    if (sums_ == nullptr) return;
    double* const total = plan_.rounding_stats.data<double>();
    for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
      for (std::size_t k = 0; k < 4; ++k) total[k] += (*at(chunk))[k];
    }
  }

 private:
  RoundingPlan const& plan_;
  std::int64_t chunks_;
  double* sums_ = nullptr;  // (chunks,4)
};

}  // namespace lomo::cpu
