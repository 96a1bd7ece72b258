#include "lomo/optim/offer.h"

#include <algorithm>

#include "dlogits.h"
#include "lomo/core/error.h"

namespace lomo {

namespace {

/// The columns of dy that belong to `count` rows of a member from `first` on.
Tensor columns_of(LinearOffer const& offer, ParameterGroup const& group, std::size_t member,
                  std::int64_t first, std::int64_t count) {
  std::int64_t column = first;
  for (std::size_t m = offer.first; m < member; ++m) column += group.members()[m].whole.rows();
  return offer.dy.tensor().col_block(column, count);  // (N,count)
}

/// One tile of one member of a group, and whether something was materialized into it before.
struct Tile {
  Backend& backend;
  ParameterGroup const& group;
  std::size_t member;
  std::int64_t first;
  Tensor g;  // (t,I) f32
  bool accumulate;

  void materialize(LinearOffer const& offer) const {
    const Tensor dy = columns_of(offer, group, member, first, g.rows());  // (N,t)
    backend.linear_backward_weight(g, dy, offer.x, accumulate);
  }

  void materialize(EmbeddingOffer const& offer) const {
    if (!accumulate) backend.zero(g);
    backend.add_rows(g, offer.rows, offer.ids, first);
  }

  void materialize(HeadOffer const& offer) const {
    const Tensor x = offer.x;                        // (N',C)
    const Tensor w = group.members()[member].value;  // (V,C), the rows owned here
    const std::int64_t row = group.members()[member].owned.first + first;
    for (std::int64_t begin = 0; begin < g.rows(); begin += offer.block_rows) {
      const std::int64_t count = std::min(offer.block_rows, g.rows() - begin);
      const Buffer dz = dlogits(backend, offer, w.row_block(first + begin, count), row + begin);
      backend.linear_backward_weight(g.row_block(begin, count), dz, x, accumulate);
    }
  }

  void materialize(VectorOffer const& offer) const {
    if (accumulate) throw Error(group.single().name + ": a vector is offered once a backward");
    const Tensor dw = offer.dw;  // (C)
    backend.copy(g, dw.reshaped(Shape(1, dw.numel())));
  }
};

}  // namespace

Buffer dlogits(Backend& backend, HeadOffer const& offer, Tensor w_rows, std::int64_t first) {
  const Tensor x = offer.x;  // (N',C)
  const Shape block(x.rows(), w_rows.rows());
  Buffer z = backend.allocate(block, DType::f32, Category::workspace, "head.logits");
  backend.linear(z, x, w_rows);
  if (x.dtype() == DType::f32) {
    backend.cross_entropy_backward(z, z, offer.lse, offer.targets, first, offer.scale);
    return z;
  }
  Buffer dz = backend.allocate(block, x.dtype(), Category::workspace, "head.dlogits");
  backend.cross_entropy_backward(dz, z, offer.lse, offer.targets, first, offer.scale);
  return dz;
}

namespace {

bool is_of_head(Offer const& offer) {
  auto const* const linear = std::get_if<LinearOffer>(&offer);
  return std::holds_alternative<HeadOffer>(offer) ||
         (linear != nullptr && linear->locally_complete);
}

}  // namespace

bool locally_complete(std::vector<Offer> const& offers, Communicator const& ranks) {
  return ranks.size() == 1 || std::ranges::all_of(offers, is_of_head);
}

namespace {

/// Of the offers that `pick` picks.
template <class Pick>
bool materialize_if(Backend& backend, std::vector<Offer> const& offers, ParameterGroup const& group,
                    std::size_t member, std::int64_t first, Tensor g, Pick const& pick) {
  bool accumulate = false;
  for (auto const& offer : offers) {
    auto const* const linear = std::get_if<LinearOffer>(&offer);
    if (!pick(offer) || (linear != nullptr && !linear->covers(member))) continue;
    const Tile tile{backend, group, member, first, g, accumulate};
    std::visit([&tile](auto const& kind) { tile.materialize(kind); }, offer);
    accumulate = true;
  }
  return accumulate;
}

}  // namespace

void materialize(Backend& backend, std::vector<Offer> const& offers, ParameterGroup const& group,
                 std::size_t member, std::int64_t first, Tensor g) {
  materialize_if(backend, offers, group, member, first, g, [](Offer const&) { return true; });
}

LinearOffer const* only_linear(std::vector<Offer> const& offers, std::size_t member) {
  LinearOffer const* only = nullptr;
  for (Offer const& offer : offers) {
    auto const* const linear = std::get_if<LinearOffer>(&offer);
    if (linear != nullptr && !linear->covers(member)) continue;
    if (linear == nullptr || only != nullptr) return nullptr;
    only = linear;
  }
  return only;
}

void materialize_blocks(Backend& backend, LinearOffer const& offer, ParameterGroup const& group,
                        std::size_t member, std::int64_t first, ColumnBlocks blocks, Tensor g) {
  const std::int64_t width = (blocks.count - 1) * blocks.stride + g.rows() / blocks.count;
  backend.linear_backward_weights(g, columns_of(offer, group, member, first, width), offer.x,
                                  blocks);
}

bool materialize_complete(Backend& backend, std::vector<Offer> const& offers,
                          ParameterGroup const& group, std::size_t member, std::int64_t first,
                          Tensor g) {
  return materialize_if(backend, offers, group, member, first, g, is_of_head);
}

}  // namespace lomo
