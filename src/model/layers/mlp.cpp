#include "mlp.h"

#include <utility>

namespace lomo {

Buffer mlp_forward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep) {
  LayerSpec const& s = ctx.spec;
  a.gate_up = ctx.make(2 * s.ffn, "gate_up");
  w.gate_up.forward(ctx.gatherer, a.gate_up, a.normed2);
  free_unless_kept(keep, a.normed2);
  free_unless_kept(keep, a.rstd2);
  a.act = ctx.make(s.ffn, "act");
  ctx.backend.swiglu(a.act, a.gate_up);
  free_unless_kept(keep, a.gate_up);
  if (keep == Keep::recompute_block) return {};
  Buffer out = ctx.make(s.width, "block output");
  ctx.add_branch(w.down, out, a.act, a.mid);
  free_unless_kept(keep, a.act);
  free_unless_kept(keep, a.mid);
  return out;
}

MlpGradients mlp_backward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a,
                          Tensor dout, bool consume) {
  LayerSpec const& s = ctx.spec;
  MlpGradients d;
  const Tensor d_branch = ctx.branch_gradient(dout, d.d_branch);
  Buffer d_act = ctx.make(s.ffn, "d act");
  w.down.backward_input(ctx.gatherer, d_act, d_branch);
  d.d_gate_up = consume ? std::move(a.gate_up) : ctx.make(2 * s.ffn, "d gate_up");
  ctx.backend.swiglu_backward(d.d_gate_up, d_act,
                              consume ? d.d_gate_up.tensor() : a.gate_up.tensor());
  d_act.reset();
  d.d_normed2 = ctx.make(s.width, "d norm2");
  w.gate_up.backward_input(ctx.gatherer, d.d_normed2, d.d_gate_up);
  return d;
}

void mlp_offer(LayerContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
               MlpGradients d, GradientSink& sink, bool consume) {
  const auto rows_of_rank = ctx.queries_of_rank();
  Buffer d_branch = d.d_branch ? std::move(d.d_branch) : std::move(dout);
  w.down.offer(ctx.backend, sink, std::move(d_branch), Factor::take(a.act, consume), rows_of_rank);
  w.gate_up.offer(ctx.backend, sink, std::move(d.d_gate_up), Factor::take(a.normed2, consume),
                  rows_of_rank);
}

}  // namespace lomo
