#include "lm_head.h"

#include <algorithm>
#include <utility>
#include <vector>

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

/// The rows of one chunk.
Tensor of_chunk(Tensor all, LossRows::Chunk const& chunk) {
  return all.row_block(chunk.first, chunk.rows);
}

/// dx (n,C) f32 = dZ W of the rows of a chunk, block by block, from logits recomputed.
void input_gradient_by_blocks(HeadContext const& ctx, LossRows::Chunk const& chunk, Tensor dx,
                              HeadActivations const& a, Parameter const& head, float scale) {
  Backend& be = ctx.backend;
  const Tensor x = of_chunk(a.normed, chunk), lse = of_chunk(a.lse, chunk);
  const Tensor targets = of_chunk(ctx.batch.all_targets, chunk);
  const Shape largest(chunk.rows, std::min(ctx.options.block_rows, head.value.rows()));
  Buffer z_buffer = be.allocate(largest, DType::f32, Category::workspace, "head logits");
  Buffer dz_buffer;
  if (ctx.dtype != DType::f32) {
    dz_buffer = be.allocate(largest, ctx.dtype, Category::workspace, "head dlogits");
  }
  if (head.value.rows() == 0) be.zero(dx);
  for_each_block(ctx, head.value, [&](std::int64_t first, Tensor rows) {
    const Shape block(chunk.rows, rows.rows());
    const auto dense = [&](Buffer const& buffer) {
      return buffer.tensor().reshaped(largest.numel()).row_block(0, block.numel()).reshaped(block);
    };
    const Tensor z = dense(z_buffer);                    // (n,B)
    const Tensor dz = dz_buffer ? dense(dz_buffer) : z;  // (n,B)
    be.linear(z, x, rows);
    be.cross_entropy_backward(dz, z, lse, targets, head.owned.first + first, scale);
    be.linear_backward_input(dx, dz, rows, first > 0);
  });
}

}  // namespace

void head_forward(HeadContext const& ctx, RmsNorm const& norm, ParameterGroup const& head,
                  HeadActivations& a, bool keep) {
  Backend& be = ctx.backend;
  const Tensor w = head.single().value;                                     // (V,C)
  const std::int64_t row = head.single().owned.first;                       // of w's first row
  const std::int64_t n = a.x.tensor().rows(), all = ctx.rows().count();     // N', A
  Buffer normed = make(ctx, a.x.tensor().shape(), ctx.dtype, "head norm");  // (N',C)
  a.rstd = make(ctx, Shape(n), DType::f32, "head rstd");
  norm.forward(be, normed, a.rstd, a.x, ctx.config.norm_eps);
  if (ctx.config.logits_scale != 1) be.scale(normed, normed, ctx.config.logits_scale);
  a.normed = ctx.vocabulary.gather(std::move(normed), ctx.rows());

  Buffer running = make(ctx, Shape(all, 3), DType::f32, "head running softmax");
  be.cross_entropy_begin(running);
  if (keep && ctx.options.keeps_logits(all, w.rows())) {
    a.logits = make(ctx, Shape(all, w.rows()), DType::f32, "head logits");
    be.linear(a.logits, a.normed, w);
    be.cross_entropy_block(running, a.logits, ctx.batch.all_targets, row);
  } else {
    for (auto const& chunk : ctx.rows().chunks) {
      for_each_block(ctx, w, [&](std::int64_t first, Tensor rows) {
        Buffer z = be.allocate(Shape(chunk.rows, rows.rows()), DType::f32, Category::workspace,
                               "head logits");  // (n,B)
        be.linear(z, of_chunk(a.normed, chunk), rows);
        be.cross_entropy_block(of_chunk(running, chunk), z, of_chunk(ctx.batch.all_targets, chunk),
                               row + first);
      });
    }
  }
  ctx.vocabulary.merge_softmax(running);
  a.loss = make(ctx, Shape(all), DType::f32, "loss");
  a.lse = make(ctx, Shape(all), DType::f32, "head lse");
  be.cross_entropy_end(a.loss, a.lse, running);
  if (!keep) {
    a.x.reset();
    a.normed.reset();
    a.rstd.reset();
  }
}

Buffer head_backward(HeadContext const& ctx, RmsNorm& norm, ParameterGroup& head,
                     HeadActivations& a, float scale, GradientSink& sink, bool consume, bool last) {
  Backend& be = ctx.backend;
  Parameter const& own = head.single();  // (V,C)

  Offer offer;
  Buffer d_normed = make(ctx, a.x.tensor().shape(), ctx.dtype, "d head norm");  // (N',C)
  const auto by_chunks = [&](auto const& part_of) {
    for (auto const& chunk : ctx.rows().chunks) {
      Buffer part = make(ctx, Shape(chunk.rows, ctx.config.width), DType::f32,
                         "d head norm, f32");  // (n,C)
      part_of(chunk, part.tensor());
      ctx.vocabulary.reduce(d_normed, part, chunk, ctx.options.comm_dtype);
    }
  };
  if (a.logits) {  // kept: the head is a linear layer like any other
    const bool in_place = consume && ctx.dtype == DType::f32;
    Buffer dz =
        in_place ? std::move(a.logits) : make(ctx, a.logits.tensor().shape(), ctx.dtype, "dlogits");
    be.cross_entropy_backward(dz, in_place ? dz.tensor() : a.logits.tensor(), a.lse,
                              ctx.batch.all_targets, own.owned.first, scale);
    if (consume) a.logits.reset();
    if (ctx.batch.info.ranks == 1) {
      be.linear_backward_input(d_normed, dz, own.value);
    } else {
      by_chunks([&](LossRows::Chunk const& chunk, Tensor part) {
        be.linear_backward_input(part, of_chunk(dz, chunk), own.value);
      });
    }
    LinearOffer linear{std::move(dz), Factor::take(a.normed, consume)};
    linear.locally_complete = true;
    offer = std::move(linear);
  } else {
    by_chunks([&](LossRows::Chunk const& chunk, Tensor part) {
      input_gradient_by_blocks(ctx, chunk, part, a, own, scale);
    });
    offer = HeadOffer{Factor::take(a.normed, consume), Factor::take(a.lse, consume),
                      ctx.batch.all_targets, scale, ctx.options.block_rows};
  }
  if (ctx.config.logits_scale != 1) be.scale(d_normed, d_normed, ctx.config.logits_scale);
  Buffer dx = make(ctx, a.x.tensor().shape(), ctx.dtype, "d head input");  // (N',C)
  Buffer dw = norm.backward(be, sink, dx, d_normed, a.x, a.rstd);
  d_normed.reset();
  if (sink.requires_grad(head)) sink.offer(head, std::move(offer), last);
  norm.offer(sink, std::move(dw));
  return dx;
}

}  // namespace lomo
