#include <algorithm>
#include <array>
#include <cmath>

#include "dispatch.h"
#include "engine.h"
#include "gradient.h"
#include "partial_sum.h"
#include "rounding.h"
#include "scratch.h"

namespace lomo::cpu {
namespace {

struct Measured {
  double squares = 0;
  double bad = 0;
};

/// Sum of squares of the finite elements of scale * g and the number of the others.
Measured squared_norm_chunk(float const* g, std::int64_t n, float scale) {
  const double plain = vector_sum(0, n, [=](std::int64_t i) LOMO_INLINE {
    const double x = scale * g[i];
    return x * x;
  });
  if (std::isfinite(plain)) return {plain, 0};  // squares of f32 cannot overflow a double
  const double squares = vector_sum(0, n, [=](std::int64_t i) LOMO_INLINE {
    const float x = scale * g[i];
    const double kept = finite(x) ? x : 0.0f;
    return kept * kept;
  });
  const double bad = vector_sum(
      0, n, [=](std::int64_t i) LOMO_INLINE { return finite(scale * g[i]) ? 0.0 : 1.0; });
  return {squares, bad};
}

/// partial sums of ranks of a gradient of t rows, (ranks t,I).
struct SummedPartials {
  Tensor partials;
  std::int64_t t, ranks;
  /// Sums of a chunk, in `sums`.
  float const* sum(Chunks::Chunk const& chunk, float* sums) const {
    dispatch(partials.dtype(), [&]<class T>(T) {
      sum_of_partials(sums, at<T>(partials, chunk), t * partials.pitch(), ranks, chunk.width);
    });
    return sums;
  }
};

/// What decoupled weight decay leaves of a weight.
float keep(float lr, float weight_decay) {
  return static_cast<float>(1.0 - static_cast<double>(lr) * weight_decay);
}

}  // namespace

void CpuBackend::do_accumulate_squared_norm(Tensor stats, Tensor g, float scale) {
  const Chunks chunks(g);  // of rows, so that the tile does not show in the order of the sum
  const Buffer work =
      workspace_of("accumulate_squared_norm", workspaces_.accumulate_squared_norm(g));
  double* const sums = Scratch(work).take<double>(2 * chunks.count);
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    const Measured m = squared_norm_chunk(at<float>(g, chunks[i]), chunks[i].width, scale);
    sums[2 * i] = m.squares;
    sums[2 * i + 1] = m.bad;
  }
  double* const total = stats.data<double>();
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    total[0] += sums[2 * i];
    total[1] += sums[2 * i + 1];
  }
}

void CpuBackend::do_inner_product(Tensor sums, Tensor a, Tensor b, double weight) {
  const Chunks chunks(a);
  const Buffer work = workspace_of("inner_product", workspaces_.inner_product(a));
  double* const partials = Scratch(work).take<double>(3 * chunks.count);
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    float const* const x = at<float>(a, chunks[i]);
    float const* const y = at<float>(b, chunks[i]);
    const auto sum_of = [n = chunks[i].width](float const* p, float const* q) {
      return vector_sum(0, n, [=](std::int64_t j) LOMO_INLINE {
        return static_cast<double>(p[j]) * static_cast<double>(q[j]);
      });
    };
    partials[3 * i] = sum_of(x, y);
    partials[3 * i + 1] = sum_of(x, x);
    partials[3 * i + 2] = sum_of(y, y);
  }
  double total[3] = {};
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    for (int k = 0; k < 3; ++k) total[k] += partials[3 * i + k];
  }
  sums.data<double>()[0] += weight * total[0];
  sums.data<double>()[1] += weight * std::sqrt(total[1]) * std::sqrt(total[2]);
}

void CpuBackend::do_sgd_update(Tensor w, Tensor g, std::int64_t ranks, SgdStep const& step,
                               RoundingPlan const& plan, Tensor found_inf, Tensor rows) {
  if (blocked(found_inf)) return;
  const Buffer work =
      workspace_of("sgd_update", workspaces_.rounding_stats(ranks > 0 ? w : g, plan));
  const std::int64_t cols = w.cols();
  if (!rows && w.dense() && g.dense()) {
    g = g.reshaped(Shape(std::max<std::int64_t>(ranks, 1), w.numel()));
    w = flat(w);
  }
  std::int32_t const* const listed = rows ? rows.data<std::int32_t>() : nullptr;
  const ScaledGradient scaled = scaled_gradient(step.gradient);
  const formulas::Sgd sgd{step.lr, keep(step.lr, step.weight_decay)};
  const Chunks chunks(ranks > 0 ? w : g);
  const SummedPartials partials{g, w.rows(), ranks};
  Scratch scratch(work);
  const Tallies tallies(scratch, plan, chunks.count);
  dispatch(w.dtype(), [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t i = 0; i < chunks.count; ++i) {
      const Chunks::Chunk chunk = chunks[i];
      Chunks::Chunk target = chunk;
      if (listed != nullptr) target.row = listed[chunk.row];
      const std::int64_t first = plan.first + target.row * cols + chunk.col;
      for (std::int64_t done = 0; done < chunk.width; done += kRoundingBlock) {
        const std::int64_t n = std::min(kRoundingBlock, chunk.width - done);
        alignas(64) std::array<float, kRoundingBlock> sums;
        float const* const from = ranks > 0
                                      ? partials.sum({chunk.row, chunk.col + done, n}, sums.data())
                                      : at<float>(g, chunk) + done;
        store_rounded(at<T>(w, target) + done, n, plan, first + done, tallies.at(i),
                      [=](std::int64_t j, float old)
                          LOMO_INLINE { return sgd(old, scaled(from[j])); });
      }
    }
  });
  tallies.finish();
}

void CpuBackend::do_momentum_update(Tensor m, Tensor g, float momentum,
                                    GradientScaling const& gradient, Tensor found_inf) {
  if (blocked(found_inf)) return;
  if (m.dense() && g.dense()) {
    m = flat(m);
    g = flat(g);
  }
  const ScaledGradient scaled = scaled_gradient(gradient);
  const Chunks chunks(g);
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    float* const mean = at<float>(m, chunks[i]);
    float* const grad = at<float>(g, chunks[i]);
    vector_loop(0, chunks[i].width, [=](std::int64_t j) LOMO_INLINE {
      mean[j] = formulas::momentum(mean[j], scaled(grad[j]), momentum);
      grad[j] = mean[j];
    });
  }
}

void CpuBackend::do_adamw_update(Tensor w, Tensor m, Tensor v, Tensor g, AdamStep const& step,
                                 RoundingPlan const& plan, Tensor found_inf) {
  if (blocked(found_inf)) return;
  const Buffer work = workspace_of("adamw_update", workspaces_.rounding_stats(g, plan));
  const std::int64_t cols = w.cols();
  if (w.dense() && m.dense() && v.dense() && g.dense()) {
    w = flat(w);
    m = flat(m);
    v = flat(v);
    g = flat(g);
  }
  const ScaledGradient scaled = scaled_gradient(step.gradient);
  const auto t = static_cast<double>(step.t);
  // lr (m / c1) / (sqrt(v / c2) + eps) with the two corrections taken out of the loop.
  const formulas::AdamW adamw{.lr = static_cast<float>(step.lr / (1 - std::pow(step.beta1, t))),
                              .keep = keep(step.lr, step.weight_decay),
                              .beta1 = step.beta1,
                              .beta2 = step.beta2,
                              .eps = step.eps,
                              .correct = static_cast<float>(1 / (1 - std::pow(step.beta2, t)))};
  const Chunks chunks(g);
  Scratch scratch(work);
  const Tallies tallies(scratch, plan, chunks.count);
  dispatch(w.dtype(), [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t i = 0; i < chunks.count; ++i) {
      const Chunks::Chunk chunk = chunks[i];
      float const* const from = at<float>(g, chunk);
      float* const first = at<float>(m, chunk);
      float* const second = at<float>(v, chunk);
      store_rounded(at<T>(w, chunk), chunk.width, plan, plan.first + chunk.row * cols + chunk.col,
                    tallies.at(i), [=](std::int64_t j, float old) LOMO_INLINE {
                      return adamw(old, first[j], second[j], scaled(from[j]));
                    });
    }
  });
  tallies.finish();
}

}  // namespace lomo::cpu
