#include "block.h"

#include <cmath>
#include <utility>

namespace lomo {

namespace {

Heads heads_of(ModelConfig const& c) {
  return {c.heads, c.kv_heads, c.head_width,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_width)))};
}

/// Column blocks of a (N,(H+2G)D) matrix that holds q, k and v, or their gradients.
struct QueryKeyValue {
  Tensor q;   // (N,HD)
  Tensor k;   // (N,GD)
  Tensor v;   // (N,GD)
  Tensor qk;  // (N,(H+G)D), the part that rope turns
  QueryKeyValue(Tensor qkv, ModelConfig const& c)
      : q(qkv.col_block(0, c.heads * c.head_width)),
        k(qkv.col_block(q.cols(), c.kv_heads * c.head_width)),
        v(qkv.col_block(q.cols() + k.cols(), k.cols())),
        qk(qkv.col_block(0, q.cols() + k.cols())) {}
};

Buffer make(BlockContext const& ctx, std::int64_t cols, char const* what) {
  return ctx.backend.allocate(Shape(ctx.batch.positions.tensor().rows(), cols), ctx.dtype,
                              Category::activations, what);
}

/// f32 figures of each row: (N), or (N,cols).
Buffer make_stats(BlockContext const& ctx, Shape shape, char const* what) {
  return ctx.backend.allocate(shape, DType::f32, Category::activations, what);
}

/// A factor of an offer: moved in, or lent when it must survive the backward.
Factor take(Buffer& buffer, bool consume) {
  return consume ? Factor(std::move(buffer)) : Factor::lent(buffer);
}

}  // namespace

Buffer block_forward(BlockContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep,
                     Past const* past) {
  Backend& be = ctx.backend;
  ModelConfig const& c = ctx.config;
  const std::int64_t n = a.x.tensor().rows();  // N
  const auto done = [keep](Buffer& buffer) {
    if (keep != Keep::all) buffer.reset();
  };

  a.normed1 = make(ctx, c.width, "norm1");
  a.rstd1 = make_stats(ctx, n, "norm1 rstd");
  be.rmsnorm(a.normed1, a.rstd1, a.x, w.norm1.stacked(), c.norm_eps);
  a.qkv = make(ctx, w.qkv.stacked().rows(), "qkv");
  be.linear(a.qkv, a.normed1, w.qkv.stacked());
  done(a.normed1);
  done(a.rstd1);

  const QueryKeyValue qkv(a.qkv, c);
  be.rope(qkv.qk, ctx.batch.positions, ctx.inv_freq, Rotation::forward);
  a.attended = make(ctx, c.heads * c.head_width, "attended");
  a.lse = make_stats(ctx, Shape(n, c.heads), "attention lse");
  const Sequences rows = ctx.batch.sequences();
  if (past == nullptr) {
    be.attention(a.attended, a.lse, qkv.q, qkv.k, qkv.v, rows, rows, heads_of(c));
  } else {
    be.copy(past->keys.row_block(past->used, n), qkv.k);
    be.copy(past->values.row_block(past->used, n), qkv.v);
    be.attention(a.attended, a.lse, qkv.q, past->keys.row_block(0, past->used + n),
                 past->values.row_block(0, past->used + n), rows, past->rows, heads_of(c));
  }
  done(a.qkv);
  done(a.lse);

  a.mid = make(ctx, c.width, "mid");
  be.linear(a.mid, a.attended, w.out.stacked(), a.x);
  done(a.attended);
  if (keep == Keep::nothing) a.x.reset();

  a.normed2 = make(ctx, c.width, "norm2");
  a.rstd2 = make_stats(ctx, n, "norm2 rstd");
  be.rmsnorm(a.normed2, a.rstd2, a.mid, w.norm2.stacked(), c.norm_eps);
  a.gate_up = make(ctx, 2 * c.ffn, "gate_up");
  be.linear(a.gate_up, a.normed2, w.gate_up.stacked());
  done(a.normed2);
  done(a.rstd2);
  a.act = make(ctx, c.ffn, "act");
  be.swiglu(a.act, a.gate_up);
  done(a.gate_up);

  Buffer out = make(ctx, c.width, "block output");
  be.linear(out, a.act, w.down.stacked(), a.mid);
  done(a.act);
  done(a.mid);
  return out;
}

Buffer block_backward(BlockContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
                      GradientSink& sink, bool consume, bool input_gradient) {
  Backend& be = ctx.backend;
  ModelConfig const& c = ctx.config;
  const auto norm_gradient = [&](ParameterGroup const& norm) {
    return sink.wants(norm)
               ? be.allocate(Shape(c.width), DType::f32, Category::activations, "norm gradient")
               : Buffer();
  };
  const auto offer_linear = [&](ParameterGroup& group, Factor dy, Factor x) {
    if (sink.wants(group)) sink.offer(group, LinearOffer{std::move(dy), std::move(x)}, true);
  };
  const auto offer_norm = [&](ParameterGroup& group, Buffer dw) {
    if (dw) sink.offer(group, VectorOffer{std::move(dw)}, true);
  };

  // MLP. The gradients of gate and up overwrite gate and up when nobody needs those again.
  Buffer d_act = make(ctx, c.ffn, "d act");
  be.linear_backward_input(d_act, dout, w.down.stacked());
  Buffer d_gate_up = consume ? std::move(a.gate_up) : make(ctx, 2 * c.ffn, "d gate_up");
  be.swiglu_backward(d_gate_up, d_act, consume ? d_gate_up.tensor() : a.gate_up.tensor());
  d_act.reset();
  Buffer d_normed2 = make(ctx, c.width, "d norm2");
  be.linear_backward_input(d_normed2, d_gate_up, w.gate_up.stacked());
  Buffer d_mid = make(ctx, c.width, "d mid");
  Buffer d_norm2 = norm_gradient(w.norm2);
  be.rmsnorm_backward(d_mid, d_norm2, d_normed2, a.mid, w.norm2.stacked(), a.rstd2, dout);
  d_normed2.reset();
  if (consume) a.mid.reset();
  offer_linear(w.down, std::move(dout), take(a.act, consume));
  offer_linear(w.gate_up, std::move(d_gate_up), take(a.normed2, consume));
  offer_norm(w.norm2, std::move(d_norm2));

  // Attention.
  Buffer d_attended = make(ctx, c.heads * c.head_width, "d attended");
  be.linear_backward_input(d_attended, d_mid, w.out.stacked());
  Buffer d_qkv = make(ctx, w.qkv.stacked().rows(), "d qkv");
  const QueryKeyValue qkv(a.qkv, c);
  const QueryKeyValue d(d_qkv, c);
  const Sequences rows = ctx.batch.sequences();
  be.attention_backward(d.q, d.k, d.v, d_attended, a.attended, a.lse, qkv.q, qkv.k, qkv.v, rows,
                        rows, heads_of(c));
  be.rope(d.qk, ctx.batch.positions, ctx.inv_freq, Rotation::inverse);
  d_attended.reset();
  if (consume) a.qkv.reset();

  Buffer dx;
  Buffer d_norm1;
  if (input_gradient || sink.wants(w.norm1)) {
    Buffer d_normed1 = make(ctx, c.width, "d norm1");
    be.linear_backward_input(d_normed1, d_qkv, w.qkv.stacked());
    dx = make(ctx, c.width, "d block input");
    d_norm1 = norm_gradient(w.norm1);
    be.rmsnorm_backward(dx, d_norm1, d_normed1, a.x, w.norm1.stacked(), a.rstd1, d_mid);
  }
  offer_linear(w.out, std::move(d_mid), take(a.attended, consume));
  offer_linear(w.qkv, std::move(d_qkv), take(a.normed1, consume));
  offer_norm(w.norm1, std::move(d_norm1));
  if (consume) {  // what no offer took; the input is the caller's to free
    Buffer x = std::move(a.x);
    a = BlockActivations{};
    a.x = std::move(x);
  }
  return dx;
}

}  // namespace lomo
