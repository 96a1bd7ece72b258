#include "lomo/optim/offer.h"

#include <algorithm>

#include "lomo/core/error.h"

namespace lomo {

namespace {

/// One tile of one member of a group, and whether something was rendered into it before.
struct Tile {
  Backend& backend;
  ParameterGroup const& group;
  std::size_t member;
  std::int64_t first;
  Tensor g;  // (t,I) f32
  bool accumulate;

  void render(LinearOffer const& offer) const {
    std::int64_t column = first;  // of dy
    for (std::size_t m = offer.first; m < member; ++m) column += group.members()[m].value.rows();
    const Tensor dy = offer.dy.tensor().col_block(column, g.rows());  // (N,t)
    backend.linear_backward_weight(g, dy, offer.x, accumulate);
  }

  void render(EmbeddingOffer const& offer) const {
    if (!accumulate) backend.zero(g);
    backend.add_rows(g, offer.rows, offer.ids, first);
  }

  void render(HeadOffer const& offer) const {
    const Tensor x = offer.x;                        // (N',C)
    const Tensor w = group.members()[member].value;  // (V,C)
    for (std::int64_t begin = 0; begin < g.rows(); begin += offer.block_rows) {
      const std::int64_t count = std::min(offer.block_rows, g.rows() - begin);
      const Shape block(x.rows(), count);
      Buffer z = backend.allocate(block, DType::f32, Category::workspace, "head.logits");
      backend.linear(z, x, w.row_block(first + begin, count));
      Buffer rounded;  // dz in the storage type, where that is not f32
      if (x.dtype() != DType::f32) {
        rounded = backend.allocate(block, x.dtype(), Category::workspace, "head.dlogits");
      }
      const Tensor dz = rounded ? rounded.tensor() : z.tensor();  // (N',count)
      backend.cross_entropy_backward(dz, z, offer.lse, offer.targets, first + begin, offer.scale);
      if (rounded) z.reset();
      backend.linear_backward_weight(g.row_block(begin, count), dz, x, accumulate);
    }
  }

  void render(VectorOffer const& offer) const {
    if (accumulate) throw Error(group.single().name + ": a vector is offered once a backward");
    const Tensor dw = offer.dw;  // (C)
    backend.copy(g, dw.reshaped(Shape(1, dw.numel())));
  }
};

}  // namespace

void render(Backend& backend, std::vector<Offer> const& offers, ParameterGroup const& group,
            std::size_t member, std::int64_t first, Tensor g) {
  bool accumulate = false;
  for (auto const& offer : offers) {
    if (auto const* linear = std::get_if<LinearOffer>(&offer); linear && !linear->covers(member)) {
      continue;
    }
    const Tile tile{backend, group, member, first, g, accumulate};
    std::visit([&tile](auto const& kind) { tile.render(kind); }, offer);
    accumulate = true;
  }
}

}  // namespace lomo
