#pragma once
#include <cstdint>

#include "lomo/core/dtype.h"
#include "vector_loop.h"

namespace lomo::cpu {

LOMO_INLINE inline double widened(double x) {
  return x;
}
template <class T>
LOMO_INLINE inline float widened(T x) {
  return to_float(x);
}

/// sum[j] = the terms of all ranks from 0 on, in rank order, for j in [0, n). Rank q's first term
/// lies q * apart after `first`.
template <class Sum, class T>
void sum_of_partials(Sum* sum, T const* first, std::int64_t stride, std::int64_t ranks,
                     std::int64_t n) {
  vector_call([=]() LOMO_INLINE {
    for (std::int64_t j = 0; j < n; ++j) sum[j] = 0;
    for (std::int64_t q = 0; q < ranks; ++q) {
      T const* const of_rank = first + q * stride;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) sum[j] += widened(of_rank[j]);
    }
  });
}

}  // namespace lomo::cpu
