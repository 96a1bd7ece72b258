#include <algorithm>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"
#include "partial_sum.h"
#include "scratch.h"

namespace lomo::cpu {

namespace {

/// Rows of a matrix, or blocks of columns of them: the norm of each is its own.
struct NormRows {
  NormRows(Tensor x, Tensor w) : width(w.rows()), blocks(x.cols() / w.rows()) {}
  std::int64_t at(std::int64_t n, std::int64_t pitch) const {
    return n / blocks * pitch + n % blocks * width;
  }
  std::int64_t width, blocks;
};

}  // namespace

void CpuBackend::do_rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps) {
  const NormRows rows(x, w);
  dispatch(x.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = y.data<T>();
    T const* const from = x.data<T>();
    T const* const weight = w.data<T>();
    float* const r = rstd.data<float>();
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < rstd.rows(); ++n) {
      r[n] = row.rmsnorm(to + rows.at(n, y.pitch()), from + rows.at(n, x.pitch()), weight,
                         rows.width, eps);
    }
  });
}

void CpuBackend::do_rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w,
                                     Tensor rstd, Tensor residual) {
  const NormRows rows(x, w);
  const std::int64_t c = rows.width;
  // The same bits on any number of threads.
  const workspace::RowRuns runs = workspace::row_runs(x.rows());
  const Buffer work = workspace_of("rmsnorm_backward", workspaces_.rmsnorm_backward(x, dw));
  float* const sums = dw ? Scratch(work).take<float>(runs.count * c) : nullptr;  // (runs,C)
  dispatch(x.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = dx.data<T>();
    T const* const up = dy.data<T>();
    T const* const from = x.data<T>();
    T const* const weight = w.data<T>();
    T const* const add = residual ? residual.data<T>() : nullptr;
    float const* const r = rstd.data<float>();
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
    for (std::int64_t run = 0; run < runs.count; ++run) {
      float* const sum = sums == nullptr ? nullptr : sums + run * c;
      if (sum != nullptr) std::fill_n(sum, c, 0.0f);
      const std::int64_t end = std::min(x.rows(), (run + 1) * runs.rows) * rows.blocks;
      for (std::int64_t n = run * runs.rows * rows.blocks; n < end; ++n) {
        row.rmsnorm_backward(to + rows.at(n, dx.pitch()), sum, up + rows.at(n, dy.pitch()),
                             from + rows.at(n, x.pitch()), weight,
                             add == nullptr ? nullptr : add + rows.at(n, residual.pitch()), r[n],
                             c);
      }
    }
  });
  if (!dw) return;
  sum_of_partials(dw.data<float>(), sums, c, runs.count, c);
}

}  // namespace lomo::cpu
