#pragma once
#include <cstdint>

#include "context.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// Keys and values that came before the rows of a pass, for generation. The block appends its own.
struct Past {
  Tensor keys;            // (capacity,GD)
  Tensor values;          // (capacity,GD)
  std::int64_t used = 0;  // rows filled so far
  Sequences rows;         // of the key rows once this pass has appended its own
};

/// Causal attention with grouped queries and rotary positions, and its residual:
/// a.mid (M,C) = x + o_proj(attention(q, k, v)), q, k, v of a.normed1 (N,C).
/// Frees a.normed1, and with Keep::nothing a.x, where they are not kept.
void attention_forward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a,
                       Keep keep, Past const* past);

/// Gradients of queries, keys and values as they were made, before norm and rotation, as
/// attention_forward lays them out: d_qkv (N,(H+2G)D), or d_q (M,HD) and d_qkv (N,2GD).
struct AttentionGradients {
  Buffer d_q, d_qkv;
  Buffer d_branch;            // (M,C) of what o_proj gave; empty: d_mid itself
  Buffer d_q_norm, d_k_norm;  // (D) f32, where `sink` wants them
};
/// Of d_mid (M,C). With `consume` what attention_forward left but a.attended is freed.
AttentionGradients attention_backward(LayerContext const& ctx, BlockWeights const& w,
                                      BlockActivations& a, Tensor d_mid, GradientSink const& sink,
                                      bool consume);
/// The gradient of a.normed1 (N,C).
Buffer attention_input_gradient(LayerContext const& ctx, BlockWeights const& w,
                                AttentionGradients const& d);
/// Offers those of o_proj, of q_proj, k_proj, v_proj, and of their norms.
void attention_offer(LayerContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer d_mid,
                     AttentionGradients d, GradientSink& sink, bool consume);

}  // namespace lomo
