#include <string>

#include "checks.h"
#include "cost.h"
#include "lomo/backend/backend.h"

// The operations inside a block: norms, rotary embedding, attention, the gated activation.
namespace lomo {
namespace {

void check_heads(Check const& check, Heads const& heads) {
  if (heads.key_value > 0 && heads.query > 0 && heads.query % heads.key_value == 0 &&
      heads.width > 0 && heads.width % 2 == 0) {
    return;
  }
  check.fail(std::to_string(heads.query) + " query heads over " + std::to_string(heads.key_value) +
             " key/value heads of width " + std::to_string(heads.width) +
             ": the first must be a multiple of the second and the width even");
}

/// t must have `n` heads of heads.width columns.
void check_width(Check const& check, Arg a, std::int64_t n, Heads const& heads) {
  if (a.tensor.cols() == n * heads.width) return;
  check.fail(std::string(a.name) + " " + a.tensor.shape().str() + " does not match " +
             std::to_string(n) + " heads of width " + std::to_string(heads.width));
}

/// What attention and its backward have in common.
void check_attention(Check const& check, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
                     Sequences const& q_rows, Sequences const& k_rows, Heads const& heads) {
  check_heads(check, heads);
  check.matrix({"q", q}, kStorage);
  for (const Arg a : {Arg{"k", k}, Arg{"v", v}, Arg{"out", out}}) {
    check.matrix(a, kStorage);
    check.same_type(a, {"q", q});
  }
  check.matrix({"lse", lse}, kF32);
  check_width(check, {"q", q}, heads.query, heads);
  check_width(check, {"k", k}, heads.key_value, heads);
  check.same_shape({"v", v}, {"k", k});
  check.same_shape({"out", out}, {"q", q});
  check.same_rows({"lse", lse}, {"q", q});
  if (lse.cols() != heads.query) {
    check.fail("lse " + lse.shape().str() + " does not match " + std::to_string(heads.query) +
               " query heads");
  }
  check.sequences("q_rows", q_rows, {"q", q});
  check.sequences("k_rows", k_rows, {"k", k});
  check.same_rows({"q_rows.starts", q_rows.starts}, {"k_rows.starts", k_rows.starts});
}

constexpr std::int64_t kMaxHeadWidth = 256;  // of norms by heads

/// w (C) as x (N,C), or (D) with D a divisor of C; a row of rstd for each block of D columns.
void check_norm(Check const& check, Tensor x, Tensor w, Tensor rstd) {
  check.matrix({"x", x}, kStorage);
  check.vector({"w", w}, kStorage);
  check.vector({"rstd", rstd}, kF32);
  check.same_type({"w", w}, {"x", x});
  const bool whole = w.rows() == x.cols();
  const bool by_heads = w.rows() > 0 && w.rows() <= kMaxHeadWidth && x.cols() % w.rows() == 0;
  check.match(whole || by_heads, {"w", w}, {"x", x});
  const std::int64_t blocks = whole ? 1 : x.cols() / w.rows();
  check.match(rstd.rows() == x.rows() * blocks, {"rstd", rstd}, {"x", x});
}

}  // namespace

void Backend::rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps) {
  const Check check("rmsnorm", device_);
  check_norm(check, x, w, rstd);
  check.matrix({"y", y}, kStorage);
  check.same_shape({"y", y}, {"x", x});
  check.same_type({"y", y}, {"x", x});
  const Operation op(*this, "rmsnorm",
                     cost::elementwise(cost::kRmsnorm, count(x.numel()), {y, rstd, x, w}));
  if (x.numel() > 0) do_rmsnorm(y, rstd, x, w, eps);
}

void Backend::rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w, Tensor rstd,
                               Tensor residual) {
  const Check check("rmsnorm_backward", device_);
  check_norm(check, x, w, rstd);
  check.matrix({"dx", dx}, kStorage);
  check.matrix({"dy", dy}, kStorage);
  check.same_shape({"dx", dx}, {"x", x});
  check.same_shape({"dy", dy}, {"x", x});
  check.same_type({"dx", dx}, {"x", x});
  check.same_type({"dy", dy}, {"x", x});
  if (dw) {
    check.vector({"dw", dw}, kF32);
    check.match(dw.rows() == w.rows(), {"dw", dw}, {"w", w});
  }
  if (residual) {
    check.matrix({"residual", residual}, kStorage);
    check.same_shape({"residual", residual}, {"x", x});
    check.same_type({"residual", residual}, {"x", x});
  }
  const Operation op(*this, "rmsnorm_backward",
                     cost::elementwise(cost::kRmsnormBackward, count(x.numel()),
                                       {dx, dw, dy, x, w, rstd, residual}));
  if (x.numel() > 0) return do_rmsnorm_backward(dx, dw, dy, x, w, rstd, residual);
  if (dw && dw.numel() > 0) do_zero(dw);
}

void Backend::rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation,
                   RopeHeads heads) {
  const Check check("rope", device_);
  check.matrix({"x", x}, kStorage);
  check.vector({"positions", positions}, kI32);
  check.vector({"inv_freq", inv_freq}, kF32);
  check.same_rows({"positions", positions}, {"x", x});
  if (heads.width == 0) heads.width = 2 * inv_freq.rows();
  check.match(
      inv_freq.rows() > 0 && 2 * inv_freq.rows() <= heads.width && x.cols() % heads.width == 0,
      {"x", x}, {"inv_freq", inv_freq});
  // Only the columns that are turned are touched.
  const double share = count(2 * inv_freq.rows()) / count(heads.width);
  const Operation op(*this, "rope",
                     {cost::kRope * count(x.numel()) * share,
                      cost::touched({x}) * share + cost::touched({positions, inv_freq})});
  if (x.numel() > 0) do_rope(x, positions, inv_freq, rotation, heads);
}

void Backend::attention(Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
                        Sequences const& q_rows, Sequences const& k_rows, Heads const& heads) {
  const Check check("attention", device_);
  check_attention(check, out, lse, q, k, v, q_rows, k_rows, heads);
  const double pairs = cost::attention_pairs(q_rows, k_rows, count(q.rows()), heads.window);
  const Operation op(*this, "attention",
                     {cost::attention_flops(pairs, heads), cost::touched({out, lse, q, k, v})});
  if (q.rows() > 0) do_attention(out, lse, q, k, v, q_rows, k_rows, heads);
}

void Backend::attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out,
                                 Tensor lse, Tensor q, Tensor k, Tensor v, Sequences const& q_rows,
                                 Sequences const& k_rows, Heads const& heads) {
  const Check check("attention_backward", device_);
  check_attention(check, out, lse, q, k, v, q_rows, k_rows, heads);
  for (const Arg a : {Arg{"dq", dq}, Arg{"dk", dk}, Arg{"dv", dv}, Arg{"dout", dout}}) {
    check.matrix(a, kStorage);
    check.same_type(a, {"q", q});
  }
  check.same_shape({"dq", dq}, {"q", q});
  check.same_shape({"dk", dk}, {"k", k});
  check.same_shape({"dv", dv}, {"v", v});
  check.same_shape({"dout", dout}, {"out", out});
  const double pairs = cost::attention_pairs(q_rows, k_rows, count(q.rows()), heads.window);
  const Operation op(*this, "attention_backward",
                     {cost::attention_backward_flops(pairs, heads),
                      cost::touched({dq, dk, dv, dout, out, lse, q, k, v})});
  if (q.rows() > 0 && k.rows() > 0) {
    return do_attention_backward(dq, dk, dv, dout, out, lse, q, k, v, q_rows, k_rows, heads);
  }
  for (const Tensor t : {dq, dk, dv}) {
    if (t.numel() > 0) do_zero(t);
  }
}

void Backend::swiglu(Tensor act, Tensor gate_up) {
  const Check check("swiglu", device_);
  check.matrix({"act", act}, kStorage);
  check.matrix({"gate_up", gate_up}, kStorage);
  check.same_type({"act", act}, {"gate_up", gate_up});
  check.match(act.rows() == gate_up.rows() && 2 * act.cols() == gate_up.cols(), {"act", act},
              {"gate_up", gate_up});
  const Operation op(*this, "swiglu",
                     cost::elementwise(cost::kSwiglu, count(act.numel()), {act, gate_up}));
  if (act.numel() > 0) do_swiglu(act, gate_up);
}

void Backend::swiglu_backward(Tensor d_gate_up, Tensor d_act, Tensor gate_up) {
  const Check check("swiglu_backward", device_);
  check.matrix({"d_gate_up", d_gate_up}, kStorage);
  check.matrix({"d_act", d_act}, kStorage);
  check.matrix({"gate_up", gate_up}, kStorage);
  check.same_type({"d_gate_up", d_gate_up}, {"gate_up", gate_up});
  check.same_type({"d_act", d_act}, {"gate_up", gate_up});
  check.same_shape({"d_gate_up", d_gate_up}, {"gate_up", gate_up});
  check.match(d_act.rows() == gate_up.rows() && 2 * d_act.cols() == gate_up.cols(),
              {"d_act", d_act}, {"gate_up", gate_up});
  const Operation op(
      *this, "swiglu_backward",
      cost::elementwise(cost::kSwigluBackward, count(d_act.numel()), {d_gate_up, d_act, gate_up}));
  if (d_act.numel() > 0) do_swiglu_backward(d_gate_up, d_act, gate_up);
}

}  // namespace lomo
