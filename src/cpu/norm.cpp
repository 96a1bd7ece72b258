#include <algorithm>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"
#include "scratch.h"

namespace lomo::cpu {

void CpuBackend::do_rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps) {
  dispatch(x.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = y.data<T>();
    T const* const from = x.data<T>();
    T const* const weight = w.data<T>();
    float* const r = rstd.data<float>();
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < x.rows(); ++n) {
      r[n] = row.rmsnorm(to + n * y.pitch(), from + n * x.pitch(), weight, x.cols(), eps);
    }
  });
}

void CpuBackend::do_rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w,
                                     Tensor rstd, Tensor residual) {
  const std::int64_t rows = x.rows(), c = x.cols();
  // dw is summed over runs of rows, each in row order, then over the runs in order: the same bits
  // on any number of threads.
  const std::int64_t run =
      std::max(workspace::kMinRunRows, (rows + workspace::kMaxRuns - 1) / workspace::kMaxRuns);
  const std::int64_t runs = (rows + run - 1) / run;
  const Buffer work = workspace_of("rmsnorm_backward", workspaces_.rmsnorm_backward(x, dw));
  float* const sums = dw ? Scratch(work).take<float>(runs * c) : nullptr;  // (runs,C)
  dispatch(x.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = dx.data<T>();
    T const* const up = dy.data<T>();
    T const* const from = x.data<T>();
    T const* const weight = w.data<T>();
    T const* const add = residual ? residual.data<T>() : nullptr;
    float const* const r = rstd.data<float>();
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
    for (std::int64_t part = 0; part < runs; ++part) {
      float* const sum = sums == nullptr ? nullptr : sums + part * c;
      if (sum != nullptr) std::fill_n(sum, c, 0.0f);
      for (std::int64_t n = part * run; n < std::min(rows, (part + 1) * run); ++n) {
        row.rmsnorm_backward(to + n * dx.pitch(), sum, up + n * dy.pitch(), from + n * x.pitch(),
                             weight, add == nullptr ? nullptr : add + n * residual.pitch(), r[n],
                             c);
      }
    }
  });
  if (!dw) return;
  float* const total = dw.data<float>();
  std::fill_n(total, c, 0.0f);
  for (std::int64_t part = 0; part < runs; ++part) {
    for (std::int64_t i = 0; i < c; ++i) total[i] += sums[part * c + i];
  }
}

}  // namespace lomo::cpu
