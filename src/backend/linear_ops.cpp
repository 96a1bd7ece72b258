#include <string>

#include "checks.h"
#include "cost.h"
#include "lomo/backend/backend.h"

// Linear layers and rows. Engines never see an empty product: it is resolved here.
namespace lomo {
namespace {}  // namespace

void Backend::linear(Tensor y, Tensor x, Tensor w, Tensor residual) {
  const Check check("linear", device_);
  check.matrix({"x", x}, kStorage);
  check.matrix({"w", w}, kStorage);
  check.matrix({"y", y}, kStorage);
  check.same_cols({"x", x}, {"w", w});
  check.same_rows({"y", y}, {"x", x});
  check.match(y.cols() == w.rows(), {"y", y}, {"w", w});
  check.same_type({"w", w}, {"x", x});
  if (y.dtype() != DType::f32) check.same_type({"y", y}, {"x", x});
  const bool adds = residual.shape().rank() == 2;
  if (adds) {
    check.same_shape({"residual", residual}, {"y", y});
    check.any({"residual", residual}, kStorage);
    if (residual.dtype() != y.dtype()) check.same_type({"residual", residual}, {"x", x});
  }
  const Operation op(
      *this, "linear",
      cost::product(count(x.rows()), count(w.rows()), count(w.cols()), adds, {y, x, w, residual}));
  if (y.numel() == 0) return;
  if (x.cols() > 0) return do_linear(y, x, w, residual);
  if (!adds) return do_zero(y);
  if (residual.raw() != y.raw()) do_copy(y, residual);
}

void Backend::linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) {
  const Check check("linear_backward_input", device_);
  check.matrix({"dy", dy}, kStorage);
  check.matrix({"w", w}, kStorage);
  check.matrix({"dx", dx}, kStorage);
  check.match(dy.cols() == w.rows(), {"dy", dy}, {"w", w});
  check.same_rows({"dx", dx}, {"dy", dy});
  check.same_cols({"dx", dx}, {"w", w});
  check.same_type({"w", w}, {"dy", dy});
  if (dx.dtype() != DType::f32) check.same_type({"dx", dx}, {"dy", dy});
  const Operation op(
      *this, "linear_backward_input",
      cost::product(count(dy.rows()), count(w.cols()), count(w.rows()), accumulate, {dx, dy, w}));
  if (dx.numel() == 0) return;
  if (dy.cols() > 0) return do_linear_backward_input(dx, dy, w, accumulate);
  if (!accumulate) do_zero(dx);
}

void Backend::linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) {
  const Check check("linear_backward_weight", device_);
  check.matrix({"dy", dy}, kStorage);
  check.matrix({"x", x}, kStorage);
  check.matrix({"g", g}, kF32);
  check.same_rows({"dy", dy}, {"x", x});
  check.match(g.rows() == dy.cols(), {"g", g}, {"dy", dy});
  check.same_cols({"g", g}, {"x", x});
  check.same_type({"dy", dy}, {"x", x});
  const Operation op(
      *this, "linear_backward_weight",
      cost::product(count(g.rows()), count(g.cols()), count(x.rows()), accumulate, {g, dy, x}));
  if (g.numel() == 0) return;
  if (x.rows() > 0) return do_linear_backward_weight(g, dy, x, accumulate);
  if (!accumulate) do_zero(g);
}

void Backend::linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks) {
  const Check check("linear_backward_weights", device_);
  check.matrix({"dy", dy}, kStorage);
  check.matrix({"x", x}, kStorage);
  check.matrix({"g", g}, kStorage);
  check.same_rows({"dy", dy}, {"x", x});
  check.same_cols({"g", g}, {"x", x});
  check.same_type({"dy", dy}, {"x", x});
  if (g.dtype() != DType::f32) check.same_type({"g", g}, {"x", x});
  if (blocks.count < 1 || g.rows() % blocks.count != 0) {
    check.fail("g " + g.shape().str() + " is not " + std::to_string(blocks.count) +
               " blocks of rows");
  }
  const std::int64_t t = g.rows() / blocks.count;
  const bool stride = blocks.count == 1 || blocks.stride >= t;
  if (!stride || dy.cols() != (blocks.count - 1) * blocks.stride + t) {
    check.fail("dy " + dy.shape().str() + " is not " + std::to_string(blocks.count) +
               " blocks of " + std::to_string(t) + " columns, " + std::to_string(blocks.stride) +
               " apart");
  }
  // Of dy only the blocks are read.
  const Tensor read(nullptr, Shape(dy.rows(), g.rows()), dy.dtype(), device_);
  const Operation op(
      *this, "linear_backward_weights",
      cost::product(count(g.rows()), count(g.cols()), count(x.rows()), false, {g, read, x}));
  if (g.numel() == 0) return;
  if (x.rows() > 0) return do_linear_backward_weights(g, dy, x, blocks);
  do_zero(g);
}

void Backend::add_bias(Tensor y, Tensor bias, Tensor x) {
  const Check check("add_bias", device_);
  check.matrix({"y", y}, kStorage);
  check.vector({"bias", bias}, kStorage);
  check.match(bias.rows() == y.cols(), {"bias", bias}, {"y", y});
  check.same_type({"bias", bias}, {"y", y});
  if (x) {
    check.matrix({"x", x}, kStorage);
    check.same_shape({"x", x}, {"y", y});
    check.same_type({"x", x}, {"y", y});
  }
  const Operation op(*this, "add_bias",
                     cost::elementwise(cost::kAddBias, count(y.numel()), {y, bias, x}));
  if (y.numel() > 0) do_add_bias(y, bias, x);
}

void Backend::sum_columns(Tensor dbias, Tensor dy) {
  const Check check("sum_columns", device_);
  check.matrix({"dy", dy}, kStorage);
  check.vector({"dbias", dbias}, kF32);
  check.match(dbias.rows() == dy.cols(), {"dbias", dbias}, {"dy", dy});
  const Operation op(*this, "sum_columns",
                     cost::elementwise(cost::kSumColumns, count(dy.numel()), {dbias, dy}));
  if (dy.numel() > 0) return do_sum_columns(dbias, dy);
  if (dbias.numel() > 0) do_zero(dbias);
}

void Backend::scale(Tensor y, Tensor x, float factor, Tensor residual) {
  const Check check("scale", device_);
  check.matrix({"y", y}, kStorage);
  check.matrix({"x", x}, kStorage);
  check.same_shape({"x", x}, {"y", y});
  check.same_type({"x", x}, {"y", y});
  if (residual) {
    check.matrix({"residual", residual}, kStorage);
    check.same_shape({"residual", residual}, {"y", y});
    check.same_type({"residual", residual}, {"y", y});
  }
  const Operation op(*this, "scale",
                     cost::elementwise(cost::kScale, count(y.numel()), {y, x, residual}));
  if (y.numel() > 0) do_scale(y, x, factor, residual);
}

void Backend::gather_rows(Tensor y, Tensor x, Tensor index) {
  const Check check("gather_rows", device_);
  check.matrix({"x", x}, kStorage);
  check.matrix({"y", y}, kStorage);
  check.vector({"index", index}, kI32);
  check.same_type({"y", y}, {"x", x});
  check.same_cols({"y", y}, {"x", x});
  check.same_rows({"y", y}, {"index", index});
  check.match(x.rows() > 0 || index.rows() == 0, {"index", index}, {"x", x});
  const Operation op(*this, "gather_rows", cost::move({y, y, index}));
  if (y.numel() > 0) do_gather_rows(y, x, index);
}

void Backend::scatter_rows(Tensor y, Tensor x, Tensor index) {
  const Check check("scatter_rows", device_);
  check.matrix({"x", x}, kStorage);
  check.matrix({"y", y}, kStorage);
  check.vector({"index", index}, kI32);
  check.same_type({"y", y}, {"x", x});
  check.same_cols({"y", y}, {"x", x});
  check.same_rows({"x", x}, {"index", index});
  check.match(x.rows() <= y.rows(), {"x", x}, {"y", y});
  const Operation op(*this, "scatter_rows", cost::move({x, x, index}));
  if (x.numel() > 0) do_scatter_rows(y, x, index);
}

void Backend::sum_rows(Tensor out, Tensor dy, Tensor order, Tensor segments) {
  const Check check("sum_rows", device_);
  check.matrix({"out", out}, kF32);
  check.matrix({"dy", dy}, kStorage);
  check.vector({"order", order}, kI32);
  check.vector({"segments", segments}, kI32);
  check.same_cols({"out", out}, {"dy", dy});
  check.same_rows({"order", order}, {"dy", dy});
  check.match(segments.rows() == out.rows() + 1, {"segments", segments}, {"out", out});
  const Operation op(*this, "sum_rows",
                     cost::elementwise(1, count(dy.numel()), {out, dy, order, segments}));
  if (out.numel() > 0) do_sum_rows(out, dy, order, segments);
}

void Backend::add_rows(Tensor g, Tensor u, Tensor index, std::int64_t first) {
  const Check check("add_rows", device_);
  check.matrix({"g", g}, kF32);
  check.matrix({"u", u}, kF32);
  check.vector({"index", index}, kI32);
  check.same_cols({"g", g}, {"u", u});
  check.same_rows({"index", index}, {"u", u});
  // Which rows fall into the tile is a matter of values: at most all of u or all of g.
  const Tensor moved = u.rows() < g.rows() ? u : g;
  const Operation op(*this, "add_rows",
                     cost::elementwise(1, count(moved.numel()), {moved, moved, index}));
  if (g.numel() > 0 && u.rows() > 0) do_add_rows(g, u, index, first);
}

}  // namespace lomo
