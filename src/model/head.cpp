#include "head.h"

#include <algorithm>
#include <utility>

namespace lomo {

namespace {

Buffer make(HeadContext const& ctx, Shape shape, DType dtype, char const* what) {
  return ctx.backend.allocate(shape, dtype, Category::activations, what);
}

/// Calls f(first, rows of w) for each block of the vocabulary.
template <class F>
void for_each_block(HeadContext const& ctx, Tensor w, F const& f) {
  for (std::int64_t first = 0; first < w.rows(); first += ctx.options.block_rows) {
    f(first, w.row_block(first, std::min(ctx.options.block_rows, w.rows() - first)));
  }
}

/// dx (N',C) f32 = dZ W, block by block, from logits made again.
void input_gradient_by_blocks(HeadContext const& ctx, Tensor dx, HeadActivations const& a, Tensor w,
                              float scale) {
  Backend& be = ctx.backend;
  const std::int64_t n = a.normed.tensor().rows();  // N'
  const Shape largest(n, std::min(ctx.options.block_rows, w.rows()));
  Buffer z_buffer = be.allocate(largest, DType::f32, Category::workspace, "head logits");
  Buffer dz_buffer;
  if (ctx.dtype != DType::f32) {
    dz_buffer = be.allocate(largest, ctx.dtype, Category::workspace, "head dlogits");
  }
  for_each_block(ctx, w, [&](std::int64_t first, Tensor rows) {
    const Shape block(n, rows.rows());
    const auto dense = [&](Buffer const& buffer) {
      return buffer.tensor().reshaped(largest.numel()).row_block(0, block.numel()).reshaped(block);
    };
    const Tensor z = dense(z_buffer);                    // (N',B)
    const Tensor dz = dz_buffer ? dense(dz_buffer) : z;  // (N',B)
    be.linear(z, a.normed, rows);
    be.cross_entropy_backward(dz, z, a.lse, ctx.targets, first, scale);
    be.linear_backward_input(dx, dz, rows, first > 0);
  });
}

}  // namespace

void head_forward(HeadContext const& ctx, ParameterGroup const& norm, ParameterGroup const& head,
                  HeadActivations& a, bool keep) {
  Backend& be = ctx.backend;
  const Tensor w = head.stacked();             // (V,C)
  const std::int64_t n = a.x.tensor().rows();  // N'
  const Shape logits(n, w.rows());
  a.normed = make(ctx, a.x.tensor().shape(), ctx.dtype, "head norm");
  a.rstd = make(ctx, Shape(n), DType::f32, "head rstd");
  be.rmsnorm(a.normed, a.rstd, a.x, norm.stacked(), ctx.config.norm_eps);

  Buffer running = make(ctx, Shape(n, 3), DType::f32, "head running softmax");
  be.cross_entropy_begin(running);
  if (keep &&
      static_cast<std::size_t>(logits.numel()) * sizeof(float) <= ctx.options.keep_logits_bytes) {
    a.logits = make(ctx, logits, DType::f32, "head logits");
    be.linear(a.logits, a.normed, w);
    be.cross_entropy_block(running, a.logits, ctx.targets, 0);
  } else {
    for_each_block(ctx, w, [&](std::int64_t first, Tensor rows) {
      Buffer z = be.allocate(Shape(n, rows.rows()), DType::f32, Category::workspace, "head logits");
      be.linear(z, a.normed, rows);
      be.cross_entropy_block(running, z, ctx.targets, first);
    });
  }
  a.loss = make(ctx, Shape(n), DType::f32, "loss");
  a.lse = make(ctx, Shape(n), DType::f32, "head lse");
  be.cross_entropy_end(a.loss, a.lse, running);
  if (!keep) {
    a.x.reset();
    a.normed.reset();
    a.rstd.reset();
  }
}

Buffer head_backward(HeadContext const& ctx, ParameterGroup& norm, ParameterGroup& head,
                     HeadActivations& a, float scale, GradientSink& sink, bool consume, bool last) {
  Backend& be = ctx.backend;
  const Tensor w = head.stacked();  // (V,C)

  Offer offer;
  Buffer d_normed = make(ctx, a.x.tensor().shape(), ctx.dtype, "d head norm");  // (N',C)
  if (a.logits) {  // kept: the head is a linear layer like any other
    const bool in_place = consume && ctx.dtype == DType::f32;
    Buffer dz =
        in_place ? std::move(a.logits) : make(ctx, a.logits.tensor().shape(), ctx.dtype, "dlogits");
    be.cross_entropy_backward(dz, in_place ? dz.tensor() : a.logits.tensor(), a.lse, ctx.targets, 0,
                              scale);
    if (consume) a.logits.reset();
    be.linear_backward_input(d_normed, dz, w);
    offer = LinearOffer{std::move(dz), Factor::take(a.normed, consume)};
  } else {
    Buffer sum = make(ctx, a.x.tensor().shape(), DType::f32, "d head norm, f32");  // (N',C)
    input_gradient_by_blocks(ctx, sum, a, w, scale);
    be.copy(d_normed, sum);
    offer = HeadOffer{Factor::take(a.normed, consume), Factor::take(a.lse, consume), ctx.targets,
                      scale, ctx.options.block_rows};
  }
  Buffer dx = make(ctx, a.x.tensor().shape(), ctx.dtype, "d head input");  // (N',C)
  Buffer dw;
  if (sink.wants(norm)) dw = make(ctx, Shape(ctx.config.width), DType::f32, "norm gradient");
  be.rmsnorm_backward(dx, dw, d_normed, a.x, norm.stacked(), a.rstd);
  d_normed.reset();
  if (sink.wants(head)) sink.offer(head, std::move(offer), last);
  if (dw) sink.offer(norm, VectorOffer{std::move(dw)}, true);
  return dx;
}

}  // namespace lomo
