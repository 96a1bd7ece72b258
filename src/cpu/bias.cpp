#include <algorithm>

#include "dispatch.h"
#include "engine.h"
#include "partial_sum.h"
#include "scratch.h"

namespace lomo::cpu {

void CpuBackend::do_add_bias(Tensor y, Tensor bias, Tensor x) {
  dispatch(y.dtype(), [&]<class T>(T) {
    T const* const b = bias.data<T>();
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < y.rows(); ++n) {
      T* const to = y.data<T>() + n * y.pitch();
      if (!x) {
        std::copy_n(b, y.cols(), to);
        continue;
      }
      T const* const from = x.data<T>() + n * x.pitch();
      vector_loop(0, y.cols(), [=](std::int64_t j) LOMO_INLINE {
        to[j] = round_to<T>(widened(from[j]) + widened(b[j]));
      });
    }
  });
}

void CpuBackend::do_sum_columns(Tensor dbias, Tensor dy) {
  const std::int64_t cols = dy.cols();
  const workspace::RowRuns runs = workspace::row_runs(dy.rows());
  const Buffer work = workspace_of("sum_columns", workspaces_.sum_columns(dy));
  float* const sums = Scratch(work).take<float>(runs.count * cols);  // (runs,O)
  dispatch(dy.dtype(), [&]<class T>(T) {
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t run = 0; run < runs.count; ++run) {
      const std::int64_t first = run * runs.rows;
      sum_of_partials(sums + run * cols, dy.data<T>() + first * dy.pitch(), dy.pitch(),
                      std::min(runs.rows, dy.rows() - first), cols);
    }
  });
  sum_of_partials(dbias.data<float>(), sums, cols, runs.count, cols);
}

void CpuBackend::do_scale(Tensor y, Tensor x, float factor, Tensor residual) {
  dispatch(y.dtype(), [&]<class T>(T) {
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < y.rows(); ++n) {
      T* const to = y.data<T>() + n * y.pitch();
      T const* const from = x.data<T>() + n * x.pitch();
      if (residual) {
        T const* const add = residual.data<T>() + n * residual.pitch();
        vector_loop(0, y.cols(), [=](std::int64_t j) LOMO_INLINE {
          to[j] = round_to<T>(factor * widened(from[j]) + widened(add[j]));
        });
      } else {
        vector_loop(0, y.cols(), [=](std::int64_t j) LOMO_INLINE {
          to[j] = round_to<T>(factor * widened(from[j]));
        });
      }
    }
  });
}

}  // namespace lomo::cpu
