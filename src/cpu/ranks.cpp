#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "engine.h"
#include "rank_sum.h"

namespace lomo::cpu {
namespace {

/// Columns that are summed as one: few and short rows are shared out as well.
constexpr std::int64_t kColumns = 4096;

template <class Sum, class T>
void sum_parts(Tensor out, Tensor parts, int threads) {
  Sum* const sums = out.data<Sum>();
  T const* const terms = parts.data<T>();
  const std::int64_t t = out.rows(), ranks = parts.rows() / t, pitch = parts.pitch();
  const std::int64_t across = (out.cols() + kColumns - 1) / kColumns;
#pragma omp parallel for num_threads(threads)
  for (std::int64_t item = 0; item < t * across; ++item) {
    const std::int64_t row = item / across;
    const std::int64_t first = item % across * kColumns;
    const std::int64_t last = std::min(first + kColumns, out.cols());
    sum_of_ranks(sums + row * out.pitch() + first, terms + row * pitch + first, t * pitch, ranks,
                 last - first);
  }
}

}  // namespace

void CpuBackend::do_sum_ranks(Tensor out, Tensor parts) {
  if (out.dtype() == DType::f64) return sum_parts<double, double>(out, parts, threads_);
  dispatch(parts.dtype(), [&]<class T>(T) { sum_parts<float, T>(out, parts, threads_); });
}

void CpuBackend::do_cross_entropy_merge(Tensor running, Tensor parts) {
  float* const to = running.data<float>();
  float const* const from = parts.data<float>();
  const std::int64_t n = running.rows(), ranks = parts.rows() / n;
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < n; ++i) {
    const auto part = [&](std::int64_t q) { return from + (q * n + i) * parts.pitch(); };
    float most = part(0)[0];
    for (std::int64_t q = 1; q < ranks; ++q) most = std::max(most, part(q)[0]);
    float sum = 0, target = 0;
    for (std::int64_t q = 0; q < ranks; ++q) {
      // A rank without rows has nothing to add, and its maximum is -inf.
      if (part(q)[1] != 0) sum += part(q)[1] * std::exp(part(q)[0] - most);
      target += part(q)[2];
    }
    float* const row = to + i * running.pitch();
    row[0] = most;
    row[1] = sum;
    row[2] = target;
  }
}

}  // namespace lomo::cpu
