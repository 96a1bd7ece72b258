#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "engine.h"
#include "gradient.h"
#include "rounding.h"
#include "scratch.h"

namespace lomo::cpu {
namespace {

/// 1 / sqrt(mean), 0 where nothing was ever seen: then the gradient is 0 as well.
float inverse_root(double mean) {
  return mean > 0 ? static_cast<float>(1 / std::sqrt(mean)) : 0.0f;
}

/// The column factors c_j = rsqrt(col_j).
float const* column_factors(Scratch& scratch, Tensor col) {
  float* const c = scratch.take<float>(col.rows());
  for (std::int64_t j = 0; j < col.rows(); ++j) c[j] = inverse_root(col.data<float>()[j]);
  return c;
}

/// The row factors r_i = rsqrt(row_i / mean of row).
struct RowFactors {
  RowFactors(Tensor state, Backend::AdaLomoTensor const& whole)
      : row(state.data<float>()),
        mean(*whole.row_total.data<double>() / static_cast<double>(whole.rows)) {}
  float operator[](std::int64_t i) const { return mean > 0 ? inverse_root(row[i] / mean) : 0.0f; }
  float const* row;
  double mean;
};

}  // namespace

void CpuBackend::do_square_sums(Tensor row, Tensor col, Tensor g, GradientScaling const& gradient) {
  // Blocks of rows add up their columns apart, then the blocks are added in order.
  constexpr std::int64_t kRows = workspace::kSumRows;
  const std::int64_t cols = g.cols();
  const std::int64_t blocks = (g.rows() + kRows - 1) / kRows;
  const Buffer work = workspace_of("square_sums", workspaces_.square_sums(g));
  double* const sums = Scratch(work).take<double>(blocks * cols);
  const ScaledGradient scaled = scaled_gradient(gradient);
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t b = 0; b < blocks; ++b) {
    double* const sum = sums + b * cols;
    std::fill(sum, sum + cols, 0.0);
    for (std::int64_t i = b * kRows; i < std::min((b + 1) * kRows, g.rows()); ++i) {
      float const* const from = g.data<float>() + i * g.pitch();
      vector_loop(0, cols, [=](std::int64_t j) LOMO_INLINE {
        const double x = scaled(from[j]);
        sum[j] += x * x;
      });
      row.data<float>()[i] =
          static_cast<float>(vector_sum(0, cols, [=](std::int64_t j) LOMO_INLINE {
            const double x = scaled(from[j]);
            return x * x;
          }));
    }
  }
  constexpr std::int64_t kColumns = 512;
  float* const out = col.data<float>();
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t first = 0; first < cols; first += kColumns) {
    vector_loop(first, std::min(first + kColumns, cols), [=](std::int64_t j) LOMO_INLINE {
      double total = 0;
      for (std::int64_t b = 0; b < blocks; ++b) total += sums[b * cols + j];
      out[j] = static_cast<float>(total);
    });
  }
}

void CpuBackend::do_decay_average(Tensor state, Tensor sums, float beta, float scale, float eps,
                                  Tensor found_inf) {
  if (blocked(found_inf)) return;
  float* const mean = state.data<float>();
  float const* const sum = sums.data<float>();
  vector_loop(0, state.numel(), [=](std::int64_t i) LOMO_INLINE {
    mean[i] = beta * mean[i] + (1 - beta) * (scale * sum[i] + eps);
  });
}

void CpuBackend::do_sum(Tensor total, Tensor x) {
  float const* const from = x.data<float>();
  *total.data<double>() += vector_sum(
      0, x.numel(), [=](std::int64_t i) LOMO_INLINE { return static_cast<double>(from[i]); });
}

void CpuBackend::do_adalomo_statistics(Tensor sums, Tensor w, Tensor g, Tensor row, Tensor col,
                                       AdaLomoTensor const& whole,
                                       GradientScaling const& gradient) {
  const Buffer work = workspace_of("adalomo_statistics", workspaces_.adalomo_statistics(g));
  Scratch scratch(work);
  float const* const c = column_factors(scratch, col);
  const RowFactors r(row, whole);
  const ScaledGradient scaled = scaled_gradient(gradient);
  const Chunks chunks(g);
  double* const parts = scratch.take<double>(2 * chunks.count);
  dispatch(w.dtype(), [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t i = 0; i < chunks.count; ++i) {
      const Chunks::Chunk chunk = chunks[i];
      float const* const from = at<float>(g, chunk);
      T const* const weight = at<T>(w, chunk);
      float const* const factor = c + chunk.col;
      const float r_i = r[chunk.row];
      parts[2 * i] = vector_sum(0, chunk.width, [=](std::int64_t j) LOMO_INLINE {
        const double u = scaled(from[j]) * r_i * factor[j];
        return u * u;
      });
      parts[2 * i + 1] = vector_sum(0, chunk.width, [=](std::int64_t j) LOMO_INLINE {
        const double x = to_float(weight[j]);
        return x * x;
      });
    }
  });
  double* const total = sums.data<double>();
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    total[0] += parts[2 * i];
    total[1] += parts[2 * i + 1];
  }
}

void CpuBackend::do_adalomo_update(Tensor w, Tensor g, Tensor row, Tensor col, Tensor sums,
                                   AdaLomoTensor const& whole, AdaLomoStep const& step,
                                   RoundingPlan const& plan, Tensor found_inf) {
  if (blocked(found_inf)) return;
  const Buffer work = workspace_of("adalomo_update", workspaces_.adalomo_update(g, plan));
  Scratch scratch(work);
  float const* const c = column_factors(scratch, col);
  const RowFactors r(row, whole);
  const ScaledGradient scaled = scaled_gradient(step.gradient);
  double const* const total = sums.data<double>();
  const auto numel = static_cast<double>(whole.numel);
  const double eta =
      step.lr * std::max(static_cast<double>(step.eps2), std::sqrt(total[1] / numel));
  const double excess = std::sqrt(total[0] / numel) / step.clip_threshold;
  const auto rate = static_cast<float>(eta / std::max(1.0, excess));
  const auto keep = static_cast<float>(1 - eta * step.weight_decay);
  const Chunks chunks(g);
  const Tallies tallies(scratch, plan, chunks.count);
  dispatch(w.dtype(), [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t i = 0; i < chunks.count; ++i) {
      const Chunks::Chunk chunk = chunks[i];
      float const* const from = at<float>(g, chunk);
      float const* const factor = c + chunk.col;
      const float r_i = r[chunk.row];
      store_rounded(at<T>(w, chunk), chunk.width, plan,
                    plan.first + chunk.row * w.cols() + chunk.col, tallies.at(i),
                    [=](std::int64_t j, float old) LOMO_INLINE {
                      return old * keep - rate * (scaled(from[j]) * r_i * factor[j]);
                    });
    }
  });
  tallies.finish();
}

}  // namespace lomo::cpu
