#pragma once
// A whole LLaMA in reference operations: loss, and the gradient of every parameter.
#include "reference/ops.h"

namespace lomo::reference {

struct ModelShape {
  std::int64_t width = 0, layers = 0, heads = 0, kv_heads = 0, head_width = 0, ffn = 0, vocab = 0;
  double norm_eps = 1e-5;
  bool tied = false;
  std::vector<double> inv_freq;  // (D/2)
  HeadShape head_shape() const {
    return {heads, kv_heads, head_width, 1 / std::sqrt(static_cast<double>(head_width))};
  }
};

/// A ragged batch: tokens (N) with their sequence starts and positions; the loss rows (N') in
/// order and their targets (N').
struct Tokens {
  Ints tokens;
  Rows rows;
  Ints loss_rows, targets;
};

template <class S>
struct Block {
  Array<S> norm1;                          // (C)
  Array<S> q_proj, k_proj, v_proj;         // (HD,C), (GD,C), (GD,C)
  Array<S> o_proj;                         // (C,HD)
  Array<S> norm2;                          // (C)
  Array<S> gate_proj, up_proj, down_proj;  // (F,C), (F,C), (C,F)
};
/// Also holds gradients.
template <class S>
struct Weights {
  Array<S> embedding;  // (V,C)
  std::vector<Block<S>> blocks;
  Array<S> norm;     // (C)
  Array<S> lm_head;  // (V,C), empty when tied
};

/// Zeros of the right sizes.
template <class S>
Weights<S> weights_like(ModelShape const& m) {
  const std::int64_t hd = m.heads * m.head_width, gd = m.kv_heads * m.head_width, c = m.width;
  Weights<S> w;
  w.embedding = zeros<S>(m.vocab * c);
  for (std::int64_t l = 0; l < m.layers; ++l) {
    w.blocks.push_back({zeros<S>(c), zeros<S>(hd * c), zeros<S>(gd * c), zeros<S>(gd * c),
                        zeros<S>(c * hd), zeros<S>(c), zeros<S>(m.ffn * c), zeros<S>(m.ffn * c),
                        zeros<S>(c * m.ffn)});
  }
  w.norm = zeros<S>(c);
  if (!m.tied) w.lm_head = zeros<S>(m.vocab * c);
  return w;
}

/// f(parameter) for each parameter in checkpoint order.
template <class S, class F>
void each(Weights<S>& w, F f) {
  f(w.embedding);
  for (Block<S>& b : w.blocks) {
    for (Array<S>* p : {&b.norm1, &b.q_proj, &b.k_proj, &b.v_proj, &b.o_proj, &b.norm2,
                        &b.gate_proj, &b.up_proj, &b.down_proj}) {
      f(*p);
    }
  }
  f(w.norm);
  if (!w.lm_head.empty()) f(w.lm_head);
}

/// x + y.
template <class S>
Array<S> added(Array<S> x, Array<S> const& y) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  return x;
}
/// (N,A) and (N,B) side by side.
template <class S>
Array<S> beside(Array<S> const& x, std::int64_t a, Array<S> const& y, std::int64_t b) {
  Array<S> z;
  for (std::int64_t r = 0; r < rows_of(x, a); ++r) {
    z.insert(z.end(), x.begin() + r * a, x.begin() + (r + 1) * a);
    z.insert(z.end(), y.begin() + r * b, y.begin() + (r + 1) * b);
  }
  return z;
}
/// Columns [first, first + count) of x (N,width).
template <class S>
Array<S> columns(Array<S> const& x, std::int64_t width, std::int64_t first, std::int64_t count) {
  Array<S> y;
  for (std::int64_t r = 0; r < rows_of(x, width); ++r) {
    y.insert(y.end(), x.begin() + r * width + first, x.begin() + r * width + first + count);
  }
  return y;
}
/// Rows index[i] of x (K,C).
template <class S>
Array<S> picked(Array<S> const& x, Ints const& index, std::int64_t c) {
  Array<S> y;
  for (const std::int32_t i : index) y.insert(y.end(), x.begin() + i * c, x.begin() + (i + 1) * c);
  return y;
}
/// y row index[i] += x row i.
template <class S>
void add_rows(Array<S>& y, Array<S> const& x, Ints const& index, std::int64_t c) {
  for (std::size_t i = 0; i < index.size(); ++i) {
    for (std::int64_t j = 0; j < c; ++j) {
      y[at(index[i], c, j)] += x[at(static_cast<std::int64_t>(i), c, j)];
    }
  }
}

/// What the backward of a block reads.
template <class S>
struct BlockState {
  Array<S> x, q, k, v, attended, mid, gate_up, act;
  Norm<S> norm1, norm2;
  Array<S> out;
};

template <class S>
BlockState<S> block_forward(ModelShape const& m, Block<S> const& w, Array<S> const& x,
                            Rows const& rows) {
  const std::int64_t c = m.width, hd = m.heads * m.head_width, gd = m.kv_heads * m.head_width;
  BlockState<S> b;
  b.x = x;
  b.norm1 = rmsnorm(x, w.norm1, m.norm_eps);
  b.q = rope(linear(b.norm1.y, w.q_proj, c, hd), rows.positions, m.inv_freq, m.heads);
  b.k = rope(linear(b.norm1.y, w.k_proj, c, gd), rows.positions, m.inv_freq, m.kv_heads);
  b.v = linear(b.norm1.y, w.v_proj, c, gd);
  b.attended = attention(b.q, b.k, b.v, rows, rows, m.head_shape()).out;
  b.mid = added(linear(b.attended, w.o_proj, hd, c), x);
  b.norm2 = rmsnorm(b.mid, w.norm2, m.norm_eps);
  b.gate_up = beside(linear(b.norm2.y, w.gate_proj, c, m.ffn), m.ffn,
                     linear(b.norm2.y, w.up_proj, c, m.ffn), m.ffn);
  b.act = swiglu(b.gate_up, m.ffn);
  b.out = added(linear(b.act, w.down_proj, m.ffn, c), b.mid);
  return b;
}

/// Returns dx and fills the block's gradients.
template <class S>
Array<S> block_backward(ModelShape const& m, Block<S> const& w, BlockState<S> const& b,
                        Rows const& rows, Array<S> const& dout, Block<S>& g) {
  const std::int64_t c = m.width, f = m.ffn;
  const std::int64_t hd = m.heads * m.head_width, gd = m.kv_heads * m.head_width;
  g.down_proj = linear_backward_weight(dout, b.act, f, c);
  const auto d_gate_up =
      swiglu_backward(linear_backward_input(dout, w.down_proj, f, c), b.gate_up, f);
  const auto d_gate = columns(d_gate_up, 2 * f, 0, f), d_up = columns(d_gate_up, 2 * f, f, f);
  g.gate_proj = linear_backward_weight(d_gate, b.norm2.y, c, f);
  g.up_proj = linear_backward_weight(d_up, b.norm2.y, c, f);
  const auto n2 = rmsnorm_backward(added(linear_backward_input(d_gate, w.gate_proj, c, f),
                                         linear_backward_input(d_up, w.up_proj, c, f)),
                                   b.mid, w.norm2, b.norm2.rstd);
  g.norm2 = n2.dw;
  const auto d_mid = added(dout, n2.dx);
  g.o_proj = linear_backward_weight(d_mid, b.attended, hd, c);
  auto d = attention_backward(linear_backward_input(d_mid, w.o_proj, hd, c), b.q, b.k, b.v, rows,
                              rows, m.head_shape());
  d.dq = rope(d.dq, rows.positions, m.inv_freq, m.heads, -1);
  d.dk = rope(d.dk, rows.positions, m.inv_freq, m.kv_heads, -1);
  g.q_proj = linear_backward_weight(d.dq, b.norm1.y, c, hd);
  g.k_proj = linear_backward_weight(d.dk, b.norm1.y, c, gd);
  g.v_proj = linear_backward_weight(d.dv, b.norm1.y, c, gd);
  const auto n1 = rmsnorm_backward(added(added(linear_backward_input(d.dq, w.q_proj, c, hd),
                                               linear_backward_input(d.dk, w.k_proj, c, gd)),
                                         linear_backward_input(d.dv, w.v_proj, c, gd)),
                                   b.x, w.norm1, b.norm1.rstd);
  g.norm1 = n1.dw;
  return added(d_mid, n1.dx);
}

template <class S>
struct ModelState {
  std::vector<BlockState<S>> blocks;
  Array<S> x;  // (N',C) rows of the last block's output that carry loss
  Norm<S> norm;
  Array<S> logits;  // (N',V)
  CrossEntropy<S> head;
};
template <class S>
ModelState<S> model_forward(ModelShape const& m, Weights<S> const& w, Tokens const& batch) {
  ModelState<S> state;
  Array<S> x = picked(w.embedding, batch.tokens, m.width);
  for (Block<S> const& block : w.blocks) {
    state.blocks.push_back(block_forward(m, block, x, batch.rows));
    x = state.blocks.back().out;
  }
  state.x = picked(x, batch.loss_rows, m.width);
  state.norm = rmsnorm(state.x, w.norm, m.norm_eps);
  state.logits = linear(state.norm.y, m.tied ? w.embedding : w.lm_head, m.width, m.vocab);
  state.head = cross_entropy(state.logits, batch.targets, m.vocab, m.vocab);
  return state;
}

/// Loss (N') in nats of each row that has a target.
template <class S>
Array<S> losses(ModelShape const& m, Weights<S> const& w, Tokens const& batch) {
  return model_forward(m, w, batch).head.loss;
}

/// Gradient of scale * (sum of losses) for every parameter.
template <class S>
Weights<S> loss_gradient(ModelShape const& m, Weights<S> const& w, Tokens const& batch, S scale) {
  const ModelState<S> state = model_forward(m, w, batch);
  const std::int64_t c = m.width;
  Weights<S> g = weights_like<S>(m);
  const auto dz =
      cross_entropy_backward(state.logits, state.head.lse, batch.targets, m.vocab, scale);
  auto d_head = linear_backward_weight(dz, state.norm.y, c, m.vocab);
  const auto n =
      rmsnorm_backward(linear_backward_input(dz, m.tied ? w.embedding : w.lm_head, c, m.vocab),
                       state.x, w.norm, state.norm.rstd);
  g.norm = n.dw;
  Array<S> dx = zeros<S>(static_cast<std::int64_t>(batch.tokens.size()) * c);
  add_rows(dx, n.dx, batch.loss_rows, c);
  for (std::size_t l = w.blocks.size(); l-- > 0;) {
    dx = block_backward(m, w.blocks[l], state.blocks[l], batch.rows, dx, g.blocks[l]);
  }
  add_rows(g.embedding, dx, batch.tokens, c);
  if (m.tied) {
    g.embedding = added(g.embedding, d_head);
  } else {
    g.lm_head = d_head;
  }
  return g;
}

}  // namespace lomo::reference
