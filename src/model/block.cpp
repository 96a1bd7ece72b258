#include "block.h"

#include <cmath>
#include <span>
#include <utility>

namespace lomo {

namespace {

Heads heads_of(ModelConfig const& c) {
  return {c.heads, c.kv_heads, c.head_width,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_width)))};
}

/// Queries, keys and values, or their gradients: column blocks of one matrix (N,(H+2G)D), or of
/// (N,2GD) where the queries (M,HD) stand alone.
struct QueryKeyValue {
  Tensor q;  // (M,HD)
  Tensor k;  // (N,GD)
  Tensor v;  // (N,GD)
  QueryKeyValue(Tensor qkv, Buffer const& alone, ModelConfig const& c)
      : q(alone ? alone.tensor() : qkv.col_block(0, c.heads * c.head_width)),
        k(qkv.col_block(alone ? 0 : q.cols(), c.kv_heads * c.head_width)),
        v(qkv.col_block((alone ? 0 : q.cols()) + k.cols(), k.cols())) {}
};

Stack queries_of(BlockWeights const& w) {
  return {w.qkv, 0, 1};  // (HD,C)
}
Stack keys_values_of(BlockWeights const& w) {
  return {w.qkv, 1};  // (2GD,C)
}

/// (M,cols), a row for each that leaves the block.
Buffer make(BlockContext const& ctx, std::int64_t cols, char const* what) {
  return ctx.backend.allocate(Shape(ctx.queries().positions.rows(), cols), ctx.dtype,
                              Category::activations, what);
}

/// (N,cols), a row for each that enters it.
Buffer make_full(BlockContext const& ctx, std::int64_t cols, char const* what) {
  return ctx.backend.allocate(Shape(ctx.rows(), cols), ctx.dtype, Category::activations, what);
}

/// f32 figures of each row: (N), or (N,cols).
Buffer make_stats(BlockContext const& ctx, Shape shape, char const* what) {
  return ctx.backend.allocate(shape, DType::f32, Category::activations, what);
}

/// The rows of x (N,C) that query: x itself, or a copy of them into `copy`.
Tensor query_rows(BlockContext const& ctx, Tensor x, Buffer& copy, char const* what) {
  if (!ctx.loss_rows_only) return x;
  copy = make(ctx, x.cols(), what);
  ctx.backend.gather_rows(copy, x, ctx.batch.loss_rows);
  return copy;
}

}  // namespace

std::vector<Parameter const*> forward_order(BlockWeights const& w) {
  std::vector<Parameter const*> order;
  for (auto const* group : {&w.qkv, &w.out, &w.gate_up, &w.down}) {
    for (auto const& parameter : group->members()) order.push_back(&parameter);
  }
  return order;
}

Buffer spread_rows(Backend& backend, Tensor x, Tensor index, std::int64_t n) {
  Buffer y = backend.allocate(Shape(n, x.cols()), x.dtype(), Category::activations, "spread rows");
  backend.zero(y);
  backend.scatter_rows(y, x, index);
  return y;
}

Buffer block_forward(BlockContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep,
                     Past const* past) {
  Backend& be = ctx.backend;
  ModelConfig const& c = ctx.config;
  const Sequences queries = ctx.queries(), keys = ctx.keys();
  const std::int64_t n = ctx.rows(), m = queries.positions.rows();  // N, M
  const auto done = [keep](Buffer& buffer) {
    if (keep != Keep::all && keep != Keep::recompute_block) buffer.reset();
  };

  a.normed1 = make_full(ctx, c.width, "norm1");
  a.rstd1 = make_stats(ctx, n, "norm1 rstd");
  be.rmsnorm(a.normed1, a.rstd1, a.x, w.norm1.stacked(), c.norm_eps);
  if (ctx.loss_rows_only) {
    Buffer normed_rows;  // (M,C) of normed1
    a.q = make(ctx, queries_of(w).rows(), "query");
    ctx.whole.linear(a.q, query_rows(ctx, a.normed1, normed_rows, "norm1 of loss rows"),
                     queries_of(w));
    normed_rows.reset();
    a.qkv = make_full(ctx, keys_values_of(w).rows(), "key value");
    ctx.whole.linear(a.qkv, a.normed1, keys_values_of(w));
  } else {
    a.qkv = make_full(ctx, Stack(w.qkv).rows(), "qkv");
    ctx.whole.linear(a.qkv, a.normed1, w.qkv);
  }
  done(a.normed1);
  done(a.rstd1);

  const QueryKeyValue qkv(a.qkv, a.q, c);
  be.rope(qkv.q, queries.positions, ctx.inv_freq, Rotation::forward);
  be.rope(qkv.k, keys.positions, ctx.inv_freq, Rotation::forward);
  a.attended = make(ctx, c.heads * c.head_width, "attended");
  a.lse = make_stats(ctx, Shape(m, c.heads), "attention lse");
  if (past == nullptr) {
    be.attention(a.attended, a.lse, qkv.q, qkv.k, qkv.v, queries, keys, heads_of(c));
  } else {
    be.copy(past->keys.row_block(past->used, n), qkv.k);
    be.copy(past->values.row_block(past->used, n), qkv.v);
    be.attention(a.attended, a.lse, qkv.q, past->keys.row_block(0, past->used + n),
                 past->values.row_block(0, past->used + n), queries, past->rows, heads_of(c));
  }
  done(a.qkv);
  done(a.q);
  done(a.lse);

  a.mid = make(ctx, c.width, "mid");
  Buffer x_rows;  // (M,C) of x
  ctx.whole.linear(a.mid, a.attended, w.out, query_rows(ctx, a.x, x_rows, "loss rows"));
  x_rows.reset();
  done(a.attended);
  if (keep == Keep::nothing) a.x.reset();

  a.normed2 = make(ctx, c.width, "norm2");
  a.rstd2 = make_stats(ctx, m, "norm2 rstd");
  be.rmsnorm(a.normed2, a.rstd2, a.mid, w.norm2.stacked(), c.norm_eps);
  a.gate_up = make(ctx, 2 * c.ffn, "gate_up");
  ctx.whole.linear(a.gate_up, a.normed2, w.gate_up);
  done(a.normed2);
  done(a.rstd2);
  a.act = make(ctx, c.ffn, "act");
  be.swiglu(a.act, a.gate_up);
  done(a.gate_up);
  if (keep == Keep::recompute_block) return {};

  Buffer out = make(ctx, c.width, "block output");
  ctx.whole.linear(out, a.act, w.down, a.mid);
  done(a.act);
  done(a.mid);
  return out;
}

Buffer block_backward(BlockContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
                      GradientSink& sink, bool consume, bool input_gradient) {
  Backend& be = ctx.backend;
  ModelConfig const& c = ctx.config;
  const auto norm_gradient = [&](ParameterGroup const& norm) {
    return sink.requires_grad(norm)
               ? be.allocate(Shape(c.width), DType::f32, Category::activations, "norm gradient")
               : Buffer();
  };
  const auto n_of_rank = ctx.rows_of_rank(), m_of_rank = ctx.queries_of_rank();  // (R)
  const auto offer_linear = [&](ParameterGroup& group, Factor dy, Factor x,
                                std::span<std::int64_t const> of_rank) {
    if (!sink.requires_grad(group)) return;
    sink.offer(group, LinearOffer{std::move(dy), std::move(x), of_rank}, true);
  };
  const auto offer_norm = [&](ParameterGroup& group, Buffer dw) {
    if (dw) sink.offer(group, VectorOffer{std::move(dw)}, true);
  };

  // MLP. The gradients of gate and up overwrite gate and up when nobody needs those again.
  Buffer d_act = make(ctx, c.ffn, "d act");
  ctx.whole.linear_backward_input(d_act, dout, w.down);
  Buffer d_gate_up = consume ? std::move(a.gate_up) : make(ctx, 2 * c.ffn, "d gate_up");
  be.swiglu_backward(d_gate_up, d_act, consume ? d_gate_up.tensor() : a.gate_up.tensor());
  d_act.reset();
  Buffer d_normed2 = make(ctx, c.width, "d norm2");
  ctx.whole.linear_backward_input(d_normed2, d_gate_up, w.gate_up);
  Buffer d_mid = make(ctx, c.width, "d mid");
  Buffer d_norm2 = norm_gradient(w.norm2);
  be.rmsnorm_backward(d_mid, d_norm2, d_normed2, a.mid, w.norm2.stacked(), a.rstd2, dout);
  d_normed2.reset();
  if (consume) a.mid.reset();
  offer_linear(w.down, std::move(dout), Factor::take(a.act, consume), m_of_rank);
  offer_linear(w.gate_up, std::move(d_gate_up), Factor::take(a.normed2, consume), m_of_rank);
  offer_norm(w.norm2, std::move(d_norm2));

  // Attention.
  Buffer d_attended = make(ctx, c.heads * c.head_width, "d attended");
  ctx.whole.linear_backward_input(d_attended, d_mid, w.out);
  const bool alone = ctx.loss_rows_only;
  Buffer d_q = alone ? make(ctx, queries_of(w).rows(), "d query") : Buffer();  // (M,HD)
  Buffer d_qkv = make_full(ctx, Stack(w.qkv, alone ? 1 : 0).rows(), "d qkv");
  const QueryKeyValue qkv(a.qkv, a.q, c);
  const QueryKeyValue d(d_qkv, d_q, c);
  const Sequences queries = ctx.queries(), keys = ctx.keys();
  be.attention_backward(d.q, d.k, d.v, d_attended, a.attended, a.lse, qkv.q, qkv.k, qkv.v, queries,
                        keys, heads_of(c));
  be.rope(d.q, queries.positions, ctx.inv_freq, Rotation::inverse);
  be.rope(d.k, keys.positions, ctx.inv_freq, Rotation::inverse);
  d_attended.reset();
  if (consume) {
    a.qkv.reset();
    a.q.reset();
  }

  Buffer dx;
  Buffer d_norm1;
  if (input_gradient || sink.requires_grad(w.norm1)) {
    Buffer d_normed1 = make_full(ctx, c.width, "d norm1");
    ctx.whole.linear_backward_input(d_normed1, d_qkv, alone ? keys_values_of(w) : Stack(w.qkv));
    if (alone) {    // the rows that query get a second part
      Buffer rows;  // (M,C)
      query_rows(ctx, d_normed1, rows, "d norm1 of loss rows");
      ctx.whole.linear_backward_input(rows, d_q, queries_of(w), /*accumulate=*/true);
      be.scatter_rows(d_normed1, rows, ctx.batch.loss_rows);
    }
    dx = alone ? spread_rows(be, d_mid, ctx.batch.loss_rows, ctx.rows())
               : make(ctx, c.width, "d block input");
    d_norm1 = norm_gradient(w.norm1);
    be.rmsnorm_backward(dx, d_norm1, d_normed1, a.x, w.norm1.stacked(), a.rstd1,
                        alone ? dx.tensor() : d_mid.tensor());
  }
  offer_linear(w.out, std::move(d_mid), Factor::take(a.attended, consume), m_of_rank);
  if (alone && sink.requires_grad(w.qkv)) {
    Buffer normed_rows;  // (M,C) of normed1
    query_rows(ctx, a.normed1, normed_rows, "norm1 of loss rows");
    sink.offer(w.qkv, LinearOffer{std::move(d_q), std::move(normed_rows), m_of_rank, 0, 1}, false);
    sink.offer(w.qkv, LinearOffer{std::move(d_qkv), Factor::take(a.normed1, consume), n_of_rank, 1},
               true);
  } else {
    offer_linear(w.qkv, std::move(d_qkv), Factor::take(a.normed1, consume), n_of_rank);
  }
  offer_norm(w.norm1, std::move(d_norm1));
  if (consume) {  // what no offer took; the input is the caller's to free
    Buffer x = std::move(a.x);
    a = BlockActivations{};
    a.x = std::move(x);
  }
  return dx;
}

}  // namespace lomo
