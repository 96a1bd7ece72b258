#pragma once
#include <array>
#include <cstdint>

/// Code compiled once for each instruction set and chosen at run time, so that a binary for plain
/// x86-64 still streams at the speed of the memory. Contraction is off in the whole build and no
/// loop reassociates, so all copies give the same bits.
namespace lomo::cpu {

/// Marks a lambda given to vector_call or vector_loop, and functions it calls: they must vanish
/// into the copy to be compiled with it.
#define LOMO_INLINE __attribute__((always_inline))

enum class VectorWidth : std::uint8_t { baseline, avx2, avx512 };

#if defined(__x86_64__) && defined(__GNUC__)
/// The widest vectors of this machine.
inline VectorWidth vector_width() {
  static const VectorWidth width = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      return VectorWidth::avx512;
    }
    return __builtin_cpu_supports("avx2") ? VectorWidth::avx2 : VectorWidth::baseline;
  }();
  return width;
}

// `body` is passed by value: a local copy cannot alias what its loops store.
template <class Body>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl"), gnu::noinline]] void vector_call_avx512(
    Body body) {
  body();
}

template <class Body>
[[gnu::target("avx2"), gnu::noinline]] void vector_call_avx2(Body body) {
  body();
}

/// body(), compiled for the widest vectors of the machine.
template <class Body>
void vector_call(Body body) {
  switch (vector_width()) {
    case VectorWidth::avx512:
      return vector_call_avx512(body);
    case VectorWidth::avx2:
      return vector_call_avx2(body);
    case VectorWidth::baseline:
      return body();
  }
}
#else
inline VectorWidth vector_width() {
  return VectorWidth::baseline;
}

template <class Body>
void vector_call(Body body) {
  body();
}
#endif

/// body(i) for i in [first, last), in any order: iterations must be independent.
template <class Body>
void vector_loop(std::int64_t first, std::int64_t last, Body body) {
  vector_call([=]() LOMO_INLINE {
#pragma GCC ivdep
    for (std::int64_t i = first; i < last; ++i) body(i);
  });
}

/// Sum of term(i), a double, for i in [first, last): as kLanes sums of every kLanes-th term and
/// then those in order, whatever the width of the vectors.
template <class Term>
double vector_sum(std::int64_t first, std::int64_t last, Term term) {
  constexpr int kLanes = 16;
  std::array<double, kLanes> sums{};
  double* const result = sums.data();
  vector_call([=]() LOMO_INLINE {
    double lanes[kLanes] = {};
    std::int64_t i = first;
    for (; i + kLanes <= last; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
    }
    for (int lane = 0; i < last; ++i, ++lane) lanes[lane] += term(i);
    for (int lane = 0; lane < kLanes; ++lane) result[lane] = lanes[lane];
  });
  double total = 0;
  for (const double lane : sums) total += lane;
  return total;
}

}  // namespace lomo::cpu
