#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "kernels/update_formulas.h"
#include "lomo/backend/ops.h"
#include "lomo/core/dtype.h"
#include "philox_words.h"
#include "scratch.h"
#include "vector_loop.h"

/// Stores of updated weights, rounded to their storage type.
namespace lomo::cpu {

/// Rounds x to one of its neighbours in T, by chance; see formulas.
template <class T>
LOMO_INLINE inline T round_stochastically(float x, std::uint32_t random) {
  static_assert(std::is_same_v<T, bf16> || std::is_same_v<T, f16>);
  const std::uint32_t bits = std::is_same_v<T, bf16> ? formulas::stochastic_bf16(x, random)
                                                     : formulas::stochastic_f16(x, random);
  return {static_cast<std::uint16_t>(bits)};
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
