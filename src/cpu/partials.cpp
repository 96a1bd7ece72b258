#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "engine.h"
#include "partial_sum.h"

namespace lomo::cpu {
namespace {

/// Columns that are summed as one: few and short rows are shared out as well.
constexpr std::int64_t kColumns = 4096;

template <class Sum, class T>
void sum_partials_of(Tensor out, Tensor partials, int threads) {
  Sum* const sums = out.data<Sum>();
  T const* const terms = partials.data<T>();
  const std::int64_t t = out.rows(), ranks = partials.rows() / t, pitch = partials.pitch();
  const std::int64_t across = (out.cols() + kColumns - 1) / kColumns;
#pragma omp parallel for num_threads(threads)
  for (std::int64_t item = 0; item < t * across; ++item) {
    const std::int64_t row = item / across;
    const std::int64_t first = item % across * kColumns;
    const std::int64_t last = std::min(first + kColumns, out.cols());
    sum_of_partials(sums + row * out.pitch() + first, terms + row * pitch + first, t * pitch, ranks,
                    last - first);
  }
}

}  // namespace

void CpuBackend::do_sum_partials(Tensor out, Tensor partials) {
  if (out.dtype() == DType::f64) return sum_partials_of<double, double>(out, partials, threads_);
  dispatch(partials.dtype(),
           [&]<class T>(T) { sum_partials_of<float, T>(out, partials, threads_); });
}

void CpuBackend::do_cross_entropy_merge(Tensor running, Tensor partials) {
  float* const to = running.data<float>();
  float const* const from = partials.data<float>();
  const std::int64_t n = running.rows(), ranks = partials.rows() / n;
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < n; ++i) {
    const auto part = [&](std::int64_t q) { return from + (q * n + i) * partials.pitch(); };
    float maximum = part(0)[0];
    for (std::int64_t q = 1; q < ranks; ++q) maximum = std::max(maximum, part(q)[0]);
    float sum = 0, target = 0;
    for (std::int64_t q = 0; q < ranks; ++q) {
      // A rank without rows has nothing to add, and its maximum is -inf.
      if (part(q)[1] != 0) sum += part(q)[1] * std::exp(part(q)[0] - maximum);
      target += part(q)[2];
    }
    float* const row = to + i * running.pitch();
    row[0] = maximum;
    row[1] = sum;
    row[2] = target;
  }
}

}  // namespace lomo::cpu
