#include "attention.h"

#include <utility>

namespace lomo {

namespace {

constexpr Linear::Part kQueries{0, 1};     // (HD,C)
constexpr Linear::Part kKeysAndValues{1};  // (2GD,C)

Heads heads_of(LayerSpec const& s) {
  return {s.heads, s.kv_heads, s.head_width, s.attention_scale, s.window};
}

/// Queries, keys and values, or their gradients: column blocks of one matrix (N,(H+2G)D), or of
/// (N,2GD) where the queries (M,HD) stand alone.
struct QueryKeyValue {
  Tensor q;  // (M,HD)
  Tensor k;  // (N,GD)
  Tensor v;  // (N,GD)
  QueryKeyValue(Tensor qkv, Buffer const& alone, LayerSpec const& s)
      : q(alone ? alone.tensor() : qkv.col_block(0, s.heads * s.head_width)),
        k(qkv.col_block(alone ? 0 : q.cols(), s.kv_heads * s.head_width)),
        v(qkv.col_block((alone ? 0 : q.cols()) + k.cols(), k.cols())) {}
};

/// Turns queries and keys by their positions, or their gradients back.
void rotate(LayerContext const& ctx, Tensor q, Tensor k, Rotation rotation) {
  LayerSpec const& s = ctx.spec;
  if (!s.rotates) return;
  const RopeHeads heads{s.head_width, s.rotary_scale};
  ctx.backend.rope(q, ctx.queries().positions, ctx.inv_freq, rotation, heads);
  ctx.backend.rope(k, ctx.keys().positions, ctx.inv_freq, rotation, heads);
}

/// Queries and keys as they are turned and multiplied: normed, or as they were made.
struct QueryKey {
  Tensor q, k;
  QueryKey(QueryKeyValue const& made, BlockActivations const& a)
      : q(a.normed_q ? a.normed_q.tensor() : made.q),
        k(a.normed_k ? a.normed_k.tensor() : made.k) {}
};

}  // namespace

void attention_forward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a,
                       Keep keep, Past const* past) {
  Backend& be = ctx.backend;
  LayerSpec const& s = ctx.spec;
  const Sequences queries = ctx.queries(), keys = ctx.keys();
  const std::int64_t n = ctx.rows(), m = queries.positions.rows();  // N, M
  if (ctx.loss_rows_only) {
    Buffer normed_rows;  // (M,C) of normed1
    a.q = ctx.make(w.qkv.outputs(kQueries), "query");
    w.qkv.forward(ctx.gatherer, a.q, ctx.query_rows(a.normed1, normed_rows, "norm1 of loss rows"),
                  {}, kQueries);
    normed_rows.reset();
    a.qkv = ctx.make_full(w.qkv.outputs(kKeysAndValues), "key value");
    w.qkv.forward(ctx.gatherer, a.qkv, a.normed1, {}, kKeysAndValues);
  } else {
    a.qkv = ctx.make_full(w.qkv.outputs(), "qkv");
    w.qkv.forward(ctx.gatherer, a.qkv, a.normed1);
  }
  free_unless_kept(keep, a.normed1);
  free_unless_kept(keep, a.rstd1);

  const QueryKeyValue qkv(a.qkv, a.q, s);
  if (w.q_norm) {
    a.normed_q = ctx.make(qkv.q.cols(), "query norm");
    a.rstd_q = ctx.make_stats(m * s.heads, "query norm rstd");
    w.q_norm->forward(be, a.normed_q, a.rstd_q, qkv.q, s.norm_eps);
    a.normed_k = ctx.make_full(qkv.k.cols(), "key norm");
    a.rstd_k = ctx.make_stats(n * s.kv_heads, "key norm rstd");
    w.k_norm->forward(be, a.normed_k, a.rstd_k, qkv.k, s.norm_eps);
  }
  const QueryKey at(qkv, a);
  rotate(ctx, at.q, at.k, Rotation::forward);
  a.attended = ctx.make(s.heads * s.head_width, "attended");
  a.lse = ctx.make_stats(Shape(m, s.heads), "attention lse");
  if (past == nullptr) {
    be.attention(a.attended, a.lse, at.q, at.k, qkv.v, queries, keys, heads_of(s));
  } else {
    be.copy(past->keys.row_block(past->used, n), at.k);
    be.copy(past->values.row_block(past->used, n), qkv.v);
    be.attention(a.attended, a.lse, at.q, past->keys.row_block(0, past->used + n),
                 past->values.row_block(0, past->used + n), queries, past->rows, heads_of(s));
  }
  for (Buffer* buffer : {&a.qkv, &a.q, &a.normed_q, &a.normed_k, &a.rstd_q, &a.rstd_k, &a.lse}) {
    free_unless_kept(keep, *buffer);
  }

  a.mid = ctx.make(s.width, "mid");
  Buffer x_rows;  // (M,C) of x
  ctx.add_branch(w.out, a.mid, a.attended, ctx.query_rows(a.x, x_rows, "loss rows"));
  x_rows.reset();
  free_unless_kept(keep, a.attended);
  if (keep == Keep::nothing) a.x.reset();
}

AttentionGradients attention_backward(LayerContext const& ctx, BlockWeights const& w,
                                      BlockActivations& a, Tensor d_mid, GradientSink const& sink,
                                      bool consume) {
  Backend& be = ctx.backend;
  LayerSpec const& s = ctx.spec;
  AttentionGradients out;
  const Tensor d_branch = ctx.branch_gradient(d_mid, out.d_branch);
  Buffer d_attended = ctx.make(s.heads * s.head_width, "d attended");
  w.out.backward_input(ctx.gatherer, d_attended, d_branch);
  if (ctx.loss_rows_only) out.d_q = ctx.make(w.qkv.outputs(kQueries), "d query");  // (M,HD)
  out.d_qkv =
      ctx.make_full(w.qkv.outputs(ctx.loss_rows_only ? kKeysAndValues : Linear::Part{}), "d qkv");
  const QueryKeyValue qkv(a.qkv, a.q, s);
  const QueryKey at(qkv, a);
  const QueryKeyValue d(out.d_qkv, out.d_q, s);
  const Sequences queries = ctx.queries(), keys = ctx.keys();
  be.attention_backward(d.q, d.k, d.v, d_attended, a.attended, a.lse, at.q, at.k, qkv.v, queries,
                        keys, heads_of(s));
  rotate(ctx, d.q, d.k, Rotation::inverse);
  d_attended.reset();
  if (w.q_norm) {
    out.d_q_norm = w.q_norm->backward(be, sink, d.q, d.q, qkv.q, a.rstd_q);
    out.d_k_norm = w.k_norm->backward(be, sink, d.k, d.k, qkv.k, a.rstd_k);
  }
  if (consume) {
    for (Buffer* buffer : {&a.qkv, &a.q, &a.normed_q, &a.normed_k, &a.rstd_q, &a.rstd_k}) {
      buffer->reset();
    }
  }
  return out;
}

Buffer attention_input_gradient(LayerContext const& ctx, BlockWeights const& w,
                                AttentionGradients const& d) {
  Buffer d_normed1 = ctx.make_full(ctx.spec.width, "d norm1");
  if (!ctx.loss_rows_only) {
    w.qkv.backward_input(ctx.gatherer, d_normed1, d.d_qkv);
    return d_normed1;
  }
  w.qkv.backward_input(ctx.gatherer, d_normed1, d.d_qkv, kKeysAndValues);
  Buffer rows;  // (M,C), those that query: they get a second part
  ctx.query_rows(d_normed1, rows, "d norm1 of loss rows");
  w.qkv.backward_input(ctx.gatherer, rows, d.d_q, kQueries, /*accumulate=*/true);
  ctx.backend.scatter_rows(d_normed1, rows, ctx.batch.loss_rows);
  return d_normed1;
}

void attention_offer(LayerContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer d_mid,
                     AttentionGradients d, GradientSink& sink, bool consume) {
  Backend& be = ctx.backend;
  const auto n_of_rank = ctx.rows_of_rank(), m_of_rank = ctx.queries_of_rank();  // (R)
  Buffer d_branch = d.d_branch ? std::move(d.d_branch) : std::move(d_mid);
  w.out.offer(be, sink, std::move(d_branch), Factor::take(a.attended, consume), m_of_rank);
  if (ctx.loss_rows_only) {
    Buffer normed_rows;  // (M,C) of normed1
    ctx.query_rows(a.normed1, normed_rows, "norm1 of loss rows");
    w.qkv.offer(be, sink, std::move(d.d_q), std::move(normed_rows), m_of_rank, kQueries,
                /*last=*/false);
    w.qkv.offer(be, sink, std::move(d.d_qkv), Factor::take(a.normed1, consume), n_of_rank,
                kKeysAndValues);
  } else {
    w.qkv.offer(be, sink, std::move(d.d_qkv), Factor::take(a.normed1, consume), n_of_rank);
  }
  if (w.q_norm) {
    w.q_norm->offer(sink, std::move(d.d_q_norm));
    w.k_norm->offer(sink, std::move(d.d_k_norm));
  }
}

}  // namespace lomo
