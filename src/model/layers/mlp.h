#pragma once
#include "context.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// The gated feed-forward layer and its residual:
/// out (M,C) = a.mid + down_proj(silu(gate) * up), gate and up of a.normed2 (M,C).
/// Frees what is not kept; returns nothing in a recomputation.
Buffer mlp_forward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep);

struct MlpGradients {
  Buffer d_gate_up;  // (M,2F)
  Buffer d_normed2;  // (M,C)
  Buffer d_branch;   // (M,C) of what down_proj gave; empty: dout itself
};
/// Of dout (M,C). With `consume` the gradients of gate and up overwrite gate and up.
MlpGradients mlp_backward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a,
                          Tensor dout, bool consume);
/// Offers those of down_proj and of gate_proj, up_proj.
void mlp_offer(LayerContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
               MlpGradients d, GradientSink& sink, bool consume);

}  // namespace lomo
