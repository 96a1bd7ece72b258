#pragma once
#include <cstdint>

/// Loops compiled once for each instruction set and chosen at run time, so that a binary for plain
/// x86-64 still streams at the speed of the memory. Contraction is off in the whole build and no
/// body reassociates, so all copies give the same bits.
namespace lomo::cpu {

/// Marks a lambda given to vector_loop: it must vanish into the loop to be vectorised with it.
#define LOMO_INLINE __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__)
enum class VectorWidth : std::uint8_t { baseline, avx2, avx512 };

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

// `body` is passed by value: a local copy cannot alias what the loop stores.
template <class Body>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl"), gnu::noinline]] void vector_loop_avx512(
    std::int64_t first, std::int64_t last, Body body) {
#pragma GCC ivdep
  for (std::int64_t i = first; i < last; ++i) body(i);
}

template <class Body>
[[gnu::target("avx2"), gnu::noinline]] void vector_loop_avx2(std::int64_t first, std::int64_t last,
                                                             Body body) {
#pragma GCC ivdep
  for (std::int64_t i = first; i < last; ++i) body(i);
}

/// body(i) for i in [first, last), in any order: iterations must be independent.
template <class Body>
void vector_loop(std::int64_t first, std::int64_t last, Body body) {
  switch (vector_width()) {
    case VectorWidth::avx512:
      return vector_loop_avx512(first, last, body);
    case VectorWidth::avx2:
      return vector_loop_avx2(first, last, body);
    case VectorWidth::baseline:
      break;
  }
#pragma GCC ivdep
  for (std::int64_t i = first; i < last; ++i) body(i);
}
#else
template <class Body>
void vector_loop(std::int64_t first, std::int64_t last, Body body) {
  for (std::int64_t i = first; i < last; ++i) body(i);
}
#endif

}  // namespace lomo::cpu
