#include <algorithm>
#include <cstring>

#include "dispatch.h"
#include "engine.h"
#include "vector_loop.h"

namespace lomo::cpu {
namespace {

std::byte* row_of(Tensor t, std::int64_t n) {
  return static_cast<std::byte*>(t.raw()) +
         n * t.pitch() * static_cast<std::int64_t>(size_of(t.dtype()));
}

}  // namespace

void CpuBackend::do_gather_rows(Tensor y, Tensor x, Tensor index) {
  std::int32_t const* const from = index.data<std::int32_t>();
  const std::size_t bytes = static_cast<std::size_t>(y.cols()) * size_of(y.dtype());
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < y.rows(); ++i) std::memcpy(row_of(y, i), row_of(x, from[i]), bytes);
}

void CpuBackend::do_scatter_rows(Tensor y, Tensor x, Tensor index) {
  std::int32_t const* const to = index.data<std::int32_t>();
  const std::size_t bytes = static_cast<std::size_t>(x.cols()) * size_of(x.dtype());
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < x.rows(); ++i) std::memcpy(row_of(y, to[i]), row_of(x, i), bytes);
}

void CpuBackend::do_sum_rows(Tensor out, Tensor dy, Tensor order, Tensor segments) {
  dispatch(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T const* const rows = dy.data<T>();
    const std::int64_t pitch = dy.pitch();
    std::int32_t const* const listed = order.data<std::int32_t>();
    std::int32_t const* const bounds = segments.data<std::int32_t>();
    float* const sums = out.data<float>();
    // Columns are shared out as well: one frequent token may own most of the rows.
    constexpr std::int64_t kColumns = 512;
    const std::int64_t across = (out.cols() + kColumns - 1) / kColumns;
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 16)
    for (std::int64_t item = 0; item < out.rows() * across; ++item) {
      const std::int64_t u = item / across;
      const std::int64_t first = item % across * kColumns;
      const std::int64_t last = std::min(first + kColumns, out.cols());
      float* const sum = sums + u * out.pitch();
      vector_call([=]() LOMO_INLINE {
        for (std::int64_t j = first; j < last; ++j) sum[j] = 0;
        for (std::int32_t i = bounds[u]; i < bounds[u + 1]; ++i) {
          T const* const row = rows + listed[i] * pitch;
#pragma GCC ivdep
          for (std::int64_t j = first; j < last; ++j) sum[j] += to_float(row[j]);
        }
      });
    }
  });
}

void CpuBackend::do_add_rows(Tensor g, Tensor u, Tensor index, std::int64_t first) {
  std::int32_t const* const to = index.data<std::int32_t>();
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < u.rows(); ++i) {
    const std::int64_t row = to[i] - first;
    if (row < 0 || row >= g.rows()) continue;
    float* const sum = g.data<float>() + row * g.pitch();
    float const* const term = u.data<float>() + i * u.pitch();
    vector_loop(0, g.cols(), [=](std::int64_t j) LOMO_INLINE { sum[j] += term[j]; });
  }
}

}  // namespace lomo::cpu
