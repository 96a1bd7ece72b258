#pragma once
#include <cstdint>
#include <vector>

#include "layers/attention.h"
#include "layers/context.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// The matrices of a block in the order in which its forward reads them; its backward reads them in
/// the opposite one.
std::vector<Parameter const*> forward_order(BlockWeights const& w);

/// Rows x (M,C) at the places `index` (M) of a zero matrix (n,C).
Buffer spread_rows(Backend& backend, Tensor x, Tensor index, std::int64_t n);

/// One decoder block: x + attention(norm1(x)), then that plus mlp(norm2(.)). Reads a.x and returns
/// the block's output (M,C), none in a recomputation; leaves in `a` what `keep` says.
Buffer block_forward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep,
                     Past const* past = nullptr);

/// Given dout (M,C), the gradient of the block's output, offers every wanted gradient of the block
/// and returns that of its input (N,C). With `consume` the activations are moved into the offers or
/// overwritten; without, they stay for another backward. When `input_gradient` is false nothing
/// below this block is wanted and the result is empty.
Buffer block_backward(LayerContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
                      GradientSink& sink, bool consume, bool input_gradient);

}  // namespace lomo
