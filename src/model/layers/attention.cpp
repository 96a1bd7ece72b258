#include "attention.h"

#include <cmath>
#include <utility>

namespace lomo {

namespace {

constexpr Linear::Part kQueries{0, 1};     // (HD,C)
constexpr Linear::Part kKeysAndValues{1};  // (2GD,C)

Heads heads_of(LayerSpec const& s) {
  return {s.heads, s.kv_heads, s.head_width,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_width)))};
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
  be.rope(qkv.q, queries.positions, ctx.inv_freq, Rotation::forward);
  be.rope(qkv.k, keys.positions, ctx.inv_freq, Rotation::forward);
  a.attended = ctx.make(s.heads * s.head_width, "attended");
  a.lse = ctx.make_stats(Shape(m, s.heads), "attention lse");
  if (past == nullptr) {
    be.attention(a.attended, a.lse, qkv.q, qkv.k, qkv.v, queries, keys, heads_of(s));
  } else {
    be.copy(past->keys.row_block(past->used, n), qkv.k);
    be.copy(past->values.row_block(past->used, n), qkv.v);
    be.attention(a.attended, a.lse, qkv.q, past->keys.row_block(0, past->used + n),
                 past->values.row_block(0, past->used + n), queries, past->rows, heads_of(s));
  }
  free_unless_kept(keep, a.qkv);
  free_unless_kept(keep, a.q);
  free_unless_kept(keep, a.lse);

  a.mid = ctx.make(s.width, "mid");
  Buffer x_rows;  // (M,C) of x
  w.out.forward(ctx.gatherer, a.mid, a.attended, ctx.query_rows(a.x, x_rows, "loss rows"));
  x_rows.reset();
  free_unless_kept(keep, a.attended);
  if (keep == Keep::nothing) a.x.reset();
}

AttentionGradients attention_backward(LayerContext const& ctx, BlockWeights const& w,
                                      BlockActivations& a, Tensor d_mid, bool consume) {
  Backend& be = ctx.backend;
  LayerSpec const& s = ctx.spec;
  Buffer d_attended = ctx.make(s.heads * s.head_width, "d attended");
  w.out.backward_input(ctx.gatherer, d_attended, d_mid);
  AttentionGradients out;
  if (ctx.loss_rows_only) out.d_q = ctx.make(w.qkv.outputs(kQueries), "d query");  // (M,HD)
  out.d_qkv =
      ctx.make_full(w.qkv.outputs(ctx.loss_rows_only ? kKeysAndValues : Linear::Part{}), "d qkv");
  const QueryKeyValue qkv(a.qkv, a.q, s);
  const QueryKeyValue d(out.d_qkv, out.d_q, s);
  const Sequences queries = ctx.queries(), keys = ctx.keys();
  be.attention_backward(d.q, d.k, d.v, d_attended, a.attended, a.lse, qkv.q, qkv.k, qkv.v, queries,
                        keys, heads_of(s));
  be.rope(d.q, queries.positions, ctx.inv_freq, Rotation::inverse);
  be.rope(d.k, keys.positions, ctx.inv_freq, Rotation::inverse);
  d_attended.reset();
  if (consume) {
    a.qkv.reset();
    a.q.reset();
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
  const auto n_of_rank = ctx.rows_of_rank(), m_of_rank = ctx.queries_of_rank();  // (R)
  w.out.offer(sink, std::move(d_mid), Factor::take(a.attended, consume), m_of_rank);
  if (ctx.loss_rows_only && sink.requires_grad(w.qkv.weight)) {
    Buffer normed_rows;  // (M,C) of normed1
    ctx.query_rows(a.normed1, normed_rows, "norm1 of loss rows");
    w.qkv.offer(sink, std::move(d.d_q), std::move(normed_rows), m_of_rank, kQueries,
                /*last=*/false);
    w.qkv.offer(sink, std::move(d.d_qkv), Factor::take(a.normed1, consume), n_of_rank,
                kKeysAndValues);
  } else {
    w.qkv.offer(sink, std::move(d.d_qkv), Factor::take(a.normed1, consume), n_of_rank);
  }
}

}  // namespace lomo
