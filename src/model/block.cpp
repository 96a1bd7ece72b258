#include "block.h"

#include <utility>

#include "layers/mlp.h"

namespace lomo {

std::vector<Parameter const*> forward_order(BlockWeights const& w) {
  std::vector<Parameter const*> order;
  for (Linear const* linear : {&w.qkv, &w.out, &w.gate_up, &w.down}) {
    for (auto const& parameter : linear->weight.members()) order.push_back(&parameter);
  }
  return order;
}

Buffer spread_rows(Backend& backend, Tensor x, Tensor index, std::int64_t n) {
  Buffer y = backend.allocate(Shape(n, x.cols()), x.dtype(), Category::activations, "spread rows");
  backend.zero(y);
  backend.scatter_rows(y, x, index);
  return y;
}

Buffer block_forward(LayerContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep,
                     Past const* past) {
  const std::int64_t width = ctx.spec.width, m = ctx.queries().positions.rows();
  a.normed1 = ctx.make_full(width, "norm1");
  a.rstd1 = ctx.make_stats(ctx.rows(), "norm1 rstd");
  w.norm1.forward(ctx.backend, a.normed1, a.rstd1, a.x, ctx.spec.norm_eps);
  attention_forward(ctx, w, a, keep, past);

  a.normed2 = ctx.make(width, "norm2");
  a.rstd2 = ctx.make_stats(m, "norm2 rstd");
  w.norm2.forward(ctx.backend, a.normed2, a.rstd2, a.mid, ctx.spec.norm_eps);
  return mlp_forward(ctx, w, a, keep);
}

Buffer block_backward(LayerContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
                      GradientSink& sink, bool consume, bool input_gradient) {
  Backend& be = ctx.backend;
  const std::int64_t width = ctx.spec.width;
  MlpGradients mlp = mlp_backward(ctx, w, a, dout, consume);
  Buffer d_mid = ctx.make(width, "d mid");
  Buffer d_norm2 = w.norm2.backward(be, sink, d_mid, mlp.d_normed2, a.mid, a.rstd2, dout);
  mlp.d_normed2.reset();
  if (consume) a.mid.reset();
  mlp_offer(ctx, w, a, std::move(dout), std::move(mlp), sink, consume);
  w.norm2.offer(sink, std::move(d_norm2));

  AttentionGradients attention = attention_backward(ctx, w, a, d_mid, sink, consume);
  Buffer dx, d_norm1;
  if (input_gradient || sink.requires_grad(w.norm1.weight)) {
    const Buffer d_normed1 = attention_input_gradient(ctx, w, attention);
    const bool spread = ctx.loss_rows_only;
    dx = spread ? spread_rows(be, d_mid, ctx.batch.loss_rows, ctx.rows())
                : ctx.make(width, "d block input");
    d_norm1 = w.norm1.backward(be, sink, dx, d_normed1, a.x, a.rstd1,
                               spread ? dx.tensor() : d_mid.tensor());
  }
  attention_offer(ctx, w, a, std::move(d_mid), std::move(attention), sink, consume);
  w.norm1.offer(sink, std::move(d_norm1));
  if (consume) {  // what no offer took; the input is the caller's to free
    Buffer x = std::move(a.x);
    a = BlockActivations{};
    a.x = std::move(x);
  }
  return dx;
}

}  // namespace lomo
