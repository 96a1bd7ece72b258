#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/optim/offer.h"
#include "lomo/parallel/ownership.h"

namespace lomo {

/// Which pairs of a row of rank q and one of rank p are rank q's to multiply: rows `mine` of its
/// own with rows `theirs` of p; none where both are empty. `rows` (R): how many each rank has.
///
/// Each pair of rows falls to one of the two ranks. Rank q takes those with the ranks that follow
/// it, half way round; the two that face each other (R even) take half each.
struct Pairs {
  RowRange mine, theirs;
};
Pairs pairs_of(std::span<std::int64_t const> rows, int q, int p);

/// What that comes to for rank q: pairs, and rows of the two factors that it gets and gives.
struct PairLoad {
  double pairs = 0, received = 0, sent = 0;
};
PairLoad pair_load(std::span<std::int64_t const> rows, int q);

/// The factors of a linear layer on their way between ranks: in round d each rank gets those of
/// the d-th rank after it, for floor(R/2) rounds, into one of two places, while it computes with
/// those of the round before. The factors of `offer` must outlive it.
class FactorExchange {
 public:
  /// The first round is under way when this returns.
  FactorExchange(Backend& backend, Communicator& ranks, LinearOffer const& offer);

  /// Is given rows of this rank and the factors (m,O), (m,I) of rows of another to multiply all
  /// pairs of, and issues that to the compute stream.
  using Use = std::function<void(RowRange mine, Tensor dy, Tensor x)>;
  void for_each(Use const& use);

 private:
  struct Slot {
    Buffer dy, x;  // (most rows,O), (most rows,I)
    Communicator::Fence fence = 0;
  };
  int rounds() const { return ranks_.size() / 2; }
  int partner(int round) const { return (ranks_.rank() + round) % ranks_.size(); }
  Slot& slot(int round) { return slots_[static_cast<std::size_t>(round) % slots_.size()]; }
  void start(int round);

  Communicator& ranks_;
  LinearOffer const& offer_;
  std::array<Slot, 2> slots_;
};

}  // namespace lomo
