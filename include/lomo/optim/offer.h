#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/parallel/parameter.h"
#include "lomo/parallel/vocabulary.h"

namespace lomo {

/// A tensor inside an offer: owned by it (and moved along with it), or lent by an activation that
/// must outlive the backward pass. A sink that keeps offers needs owned factors.
class Factor {
 public:
  Factor() = default;
  Factor(Buffer&& owned) : view_(owned.tensor()), owned_(std::move(owned)) {}
  static Factor lent(Tensor view) {
    Factor f;
    f.view_ = view;
    return f;
  }
  /// Moved in when `consume`, else lent because the buffer must survive the backward.
  static Factor take(Buffer& buffer, bool consume) {
    return consume ? Factor(std::move(buffer)) : lent(buffer);
  }
  Tensor tensor() const { return view_; }
  operator Tensor() const { return view_; }
  bool owned() const { return static_cast<bool>(owned_); }

 private:
  Tensor view_;
  Buffer owned_;
};

inline constexpr std::size_t kAllMembers = std::numeric_limits<std::size_t>::max();

/// dW = dy^T x for stacked matrices of a group: all of them, or `count` members from `first` on
/// where members have rows of their own (the queries of a last block). N are the tokens of this
/// rank, and the gradient is the sum over ranks; unless `locally_complete`: then N are those of all
/// ranks, and dy has the columns of the rows that this rank owns (the head).
struct LinearOffer {
  Factor dy;  // (N, sum of O of the members covered)
  Factor x;   // (N, I)
  /// (R) N of each rank; empty: of this one alone.
  std::span<std::int64_t const> rows_of_rank = {};
  std::size_t first = 0;
  std::size_t count = kAllMembers;
  bool locally_complete = false;
  bool covers(std::size_t member) const { return member >= first && member - first < count; }
};

/// The rows of the embedding's gradient that are not zero: dW[ids[u]] = rows[u], summed over ranks.
struct EmbeddingOffer {
  Factor rows;                        // (U,C) f32, equal ids summed in batch order
  Tensor ids;                         // (U) i32, the distinct ids of the batch, ascending
  RankIds const* everyone = nullptr;  // those of all ranks; null: of a group of one
};

/// The head's gradient, recomputed block by block: dW_b = dZ_b^T x with
/// dZ_b = scale (exp(x W_b^T - lse) - onehot). Needs the rows of W it materializes to be unchanged.
/// N' are those of all ranks, and W_b are rows that this rank owns.
struct HeadOffer {
  Factor x;        // (N',C) final-norm output of the rows that carry loss
  Factor lse;      // (N') f32
  Tensor targets;  // (N') i32
  float scale = 1;
  std::int64_t block_rows = 0;  // vocabulary rows whose logits may exist at once
};

/// The gradient of a norm's weight, as it is.
struct VectorOffer {
  Factor dw;  // (C) f32
};

/// A gradient in the cheapest form it has.
using Offer = std::variant<LinearOffer, EmbeddingOffer, HeadOffer, VectorOffer>;

/// Whether the gradient of the rows owned here needs nothing of other ranks: in a group of one
/// always, else of the head.
bool locally_complete(std::vector<Offer> const& offers, Communicator const& ranks);

/// Writes rows [first, first + g.rows()) of the sum of `offers` for member `member` of `group` into
/// g (t,I) f32; a vector counts as one row. Rows are counted from the first of the whole matrix, or
/// of the owned part where the offer is whole. The one path by which any sink sees a gradient, so
/// fused and stored gradients agree to the last bit.
void materialize(Backend& backend, std::vector<Offer> const& offers, ParameterGroup const& group,
                 std::size_t member, std::int64_t first, Tensor g);
/// The linear offer that is alone in covering a member, or null.
LinearOffer const* only_linear(std::vector<Offer> const& offers, std::size_t member);
/// By one product what `materialize` writes of that offer for the blocks of t rows that begin at
/// `first` and every blocks.stride rows after: g (B t,I), f32 or of the type of its factors.
void materialize_blocks(Backend& backend, LinearOffer const& offer, ParameterGroup const& group,
                        std::size_t member, std::int64_t first, ColumnBlocks blocks, Tensor g);
/// What `materialize` writes of those offers alone that are whole; false when there is none and g
/// is as it was.
bool materialize_complete(Backend& backend, std::vector<Offer> const& offers,
                          ParameterGroup const& group, std::size_t member, std::int64_t first,
                          Tensor g);

}  // namespace lomo
