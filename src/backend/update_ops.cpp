#include "checks.h"
#include "cost.h"
#include "lomo/backend/backend.h"

// Gradients and updates. A vector counts as a matrix of one row.
namespace lomo {
namespace {

void check_whole(Check const& check, Backend::AdaLomoTensor const& whole, Arg g) {
  check.vector({"row_total", whole.row_total}, kF64, 1);
  if (whole.rows >= g.tensor.rows() && whole.numel >= g.tensor.numel()) return;
  check.fail(std::string(g.name) + " " + g.tensor.shape().str() + " is larger than the tensor of " +
             std::to_string(whole.rows) + " rows and " + std::to_string(whole.numel) +
             " elements it belongs to");
}

void check_factors(Check const& check, Tensor row, Tensor col, Arg g) {
  check.vector({"row", row}, kF32);
  check.vector({"col", col}, kF32);
  check.same_rows({"row", row}, g);
  check.match(col.rows() == g.tensor.cols(), {"col", col}, g);
}

}  // namespace

void Backend::accumulate_squared_norm(Tensor stats, Tensor g, float scale) {
  const Check check("accumulate_squared_norm", device_);
  check.vector({"stats", stats}, kF64, 2);
  check.any({"g", g}, kF32);
  const Operation op(*this, "accumulate_squared_norm",
                     cost::elementwise(cost::kSquaredNorm, count(g.numel()), {stats, g}));
  if (g.numel() > 0) do_accumulate_squared_norm(stats, as_matrix(g), scale);
}

void Backend::inner_product(Tensor sums, Tensor a, Tensor b, double weight) {
  const Check check("inner_product", device_);
  check.vector({"sums", sums}, kF64, 2);
  check.matrix({"a", a}, kF32);
  check.matrix({"b", b}, kF32);
  check.same_shape({"a", a}, {"b", b});
  const Operation op(*this, "inner_product",
                     cost::elementwise(cost::kInnerProduct, count(a.numel()), {sums, a, b}));
  if (a.numel() > 0) do_inner_product(sums, a, b, weight);
}

void Backend::sgd_update(Tensor w, Tensor g, SgdStep const& step, RoundingPlan const& plan,
                         Tensor found_inf, Tensor rows) {
  const Check check("sgd_update", device_);
  check.any({"w", w}, kStorage);
  rows ? check.any({"g", g}, kF32) : check.any({"g", g}, kCommDtype);
  check.found_inf(found_inf);
  check.rounding(plan);
  w = as_matrix(w);
  g = as_matrix(g);
  check.same_cols({"w", w}, {"g", g});
  if (rows) {
    check.vector({"rows", rows}, kI32);
    check.same_rows({"rows", rows}, {"g", g});
    check.match(g.rows() <= w.rows(), {"g", g}, {"w", w});
  } else if (w.rows() != g.rows()) {
    check.match(w.rows() > 0 && g.rows() > 0 && g.rows() % w.rows() == 0, {"w", w}, {"g", g});
  }
  const bool whole = rows || (g.dtype() == DType::f32 && g.rows() == w.rows());
  const std::int64_t ranks = whole || g.rows() == 0 ? 0 : g.rows() / w.rows();
  const double updated = count(rows ? g.numel() : w.numel());
  const double w_bytes = updated * count(static_cast<std::int64_t>(size_of(w.dtype())));
  const Operation op(*this, "sgd_update",
                     {cost::kSgd * updated + (whole ? 0 : count(g.numel())),
                      w_bytes + cost::touched({g, found_inf, rows})});
  if (g.numel() > 0) do_sgd_update(w, g, ranks, step, plan, found_inf, rows);
}

void Backend::momentum_update(Tensor m, Tensor g, float momentum, GradientScaling const& gradient,
                              Tensor found_inf) {
  const Check check("momentum_update", device_);
  check.any({"m", m}, kF32);
  check.any({"g", g}, kF32);
  check.found_inf(found_inf);
  m = as_matrix(m);
  g = as_matrix(g);
  check.same_shape({"m", m}, {"g", g});
  const Operation op(*this, "momentum_update",
                     cost::elementwise(cost::kMomentum, count(g.numel()), {m, g, found_inf}));
  if (g.numel() > 0) do_momentum_update(m, g, momentum, gradient, found_inf);
}

void Backend::adamw_update(Tensor w, Tensor m, Tensor v, Tensor g, AdamStep const& step,
                           RoundingPlan const& plan, Tensor found_inf) {
  const Check check("adamw_update", device_);
  check.any({"w", w}, kStorage);
  for (const Arg a : {Arg{"m", m}, Arg{"v", v}, Arg{"g", g}}) check.any(a, kF32);
  check.found_inf(found_inf);
  check.rounding(plan);
  if (step.t < 1) check.fail("t is " + std::to_string(step.t) + ", it is 1 on the first update");
  w = as_matrix(w);
  m = as_matrix(m);
  v = as_matrix(v);
  g = as_matrix(g);
  for (const Arg a : {Arg{"w", w}, Arg{"m", m}, Arg{"v", v}}) check.same_shape(a, {"g", g});
  const Operation op(*this, "adamw_update",
                     cost::elementwise(cost::kAdamw, count(g.numel()), {w, m, v, g, found_inf}));
  if (g.numel() > 0) do_adamw_update(w, m, v, g, step, plan, found_inf);
}

void Backend::square_sums(Tensor row, Tensor col, Tensor g, GradientScaling const& gradient) {
  const Check check("square_sums", device_);
  check.any({"g", g}, kF32);
  g = as_matrix(g);
  check_factors(check, row, col, {"g", g});
  const Operation op(*this, "square_sums",
                     cost::elementwise(cost::kSquareSums, count(g.numel()), {row, col, g}));
  if (g.numel() > 0) return do_square_sums(row, col, g, gradient);
  for (const Tensor sums : {row, col}) {
    if (sums.numel() > 0) do_zero(sums);
  }
}

void Backend::decay_average(Tensor state, Tensor sums, float beta, float scale, float eps,
                            Tensor found_inf) {
  const Check check("decay_average", device_);
  check.vector({"state", state}, kF32);
  check.vector({"sums", sums}, kF32);
  check.same_shape({"state", state}, {"sums", sums});
  check.found_inf(found_inf);
  const Operation op(
      *this, "decay_average",
      cost::elementwise(cost::kDecayAverage, count(state.numel()), {state, sums, found_inf}));
  if (state.numel() > 0) do_decay_average(state, sums, beta, scale, eps, found_inf);
}

void Backend::sum(Tensor total, Tensor x) {
  const Check check("sum", device_);
  check.vector({"total", total}, kF64, 1);
  check.vector({"x", x}, kF32);
  const Operation op(*this, "sum", cost::elementwise(1, count(x.numel()), {total, x}));
  if (x.numel() > 0) do_sum(total, x);
}

void Backend::adalomo_statistics(Tensor sums, Tensor w, Tensor g, Tensor row, Tensor col,
                                 AdaLomoTensor const& whole, GradientScaling const& gradient) {
  const Check check("adalomo_statistics", device_);
  check.vector({"sums", sums}, kF64, 2);
  check.any({"w", w}, kStorage);
  check.any({"g", g}, kF32);
  w = as_matrix(w);
  g = as_matrix(g);
  check.same_shape({"w", w}, {"g", g});
  check_factors(check, row, col, {"g", g});
  check_whole(check, whole, {"g", g});
  const Operation op(
      *this, "adalomo_statistics",
      cost::elementwise(cost::kAdaLomoStatistics, count(g.numel()), {sums, w, g, row, col}));
  if (g.numel() > 0) do_adalomo_statistics(sums, w, g, row, col, whole, gradient);
}

void Backend::adalomo_update(Tensor w, Tensor g, Tensor row, Tensor col, Tensor sums,
                             AdaLomoTensor const& whole, AdaLomoStep const& step,
                             RoundingPlan const& plan, Tensor found_inf) {
  const Check check("adalomo_update", device_);
  check.any({"w", w}, kStorage);
  check.any({"g", g}, kF32);
  w = as_matrix(w);
  g = as_matrix(g);
  check.same_shape({"w", w}, {"g", g});
  check_factors(check, row, col, {"g", g});
  check.vector({"sums", sums}, kF64, 2);
  check_whole(check, whole, {"g", g});
  check.found_inf(found_inf);
  check.rounding(plan);
  const Operation op(
      *this, "adalomo_update",
      cost::elementwise(cost::kAdaLomoUpdate, count(g.numel()), {w, g, row, col, sums, found_inf}));
  if (g.numel() > 0) do_adalomo_update(w, g, row, col, sums, whole, step, plan, found_inf);
}

}  // namespace lomo
