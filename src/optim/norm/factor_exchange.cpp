#include "factor_exchange.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace lomo {

Pairs pairs_of(std::span<std::int64_t const> rows, int q, int p) {
  const int ranks = static_cast<int>(rows.size());
  const int after = (p - q + ranks) % ranks;  // how many places p comes after q
  RowRange mine{0, rows[static_cast<std::size_t>(q)]};
  RowRange theirs{0, rows[static_cast<std::size_t>(p)]};
  if (2 * after == ranks) {  // rank q < p takes the first half of its own rows, and p the rest
    RowRange& halved = q < p ? mine : theirs;
    const std::int64_t half = halved.count / 2;
    halved = q < p ? RowRange{0, half} : RowRange{half, halved.count - half};
  }
  const bool q_does = after > 0 && 2 * after <= ranks;
  if (!q_does || mine.count == 0 || theirs.count == 0) return {};
  return {mine, theirs};
}

PairLoad pair_load(std::span<std::int64_t const> rows, int q) {
  PairLoad load;
  for (int p = 0; std::cmp_less(p, rows.size()); ++p) {
    const Pairs mine = pairs_of(rows, q, p);
    load.pairs += static_cast<double>(mine.mine.count) * static_cast<double>(mine.theirs.count);
    load.received += static_cast<double>(mine.theirs.count);
    load.sent += static_cast<double>(pairs_of(rows, p, q).theirs.count);
  }
  return load;
}

FactorExchange::FactorExchange(Backend& backend, Communicator& ranks, LinearOffer const& offer)
    : ranks_(ranks), offer_(offer) {
  const Tensor dy = offer.dy, x = offer.x;  // (N,O), (N,I)
  std::int64_t maximum = 0;
  for (int round = 1; round <= rounds(); ++round) {
    maximum =
        std::max(maximum, pairs_of(offer.rows_of_rank, ranks.rank(), partner(round)).theirs.count);
  }
  const auto allocate = [&](std::int64_t cols, char const* what) {
    return backend.allocate(Shape(maximum, cols), x.dtype(), Category::communication, what);
  };
  for (int i = 0; i < std::min(rounds(), static_cast<int>(slots_.size())); ++i) {
    slot(i + 1).dy = allocate(dy.cols(), "dy of other ranks");
    slot(i + 1).x = allocate(x.cols(), "x of other ranks");
  }
  if (rounds() > 0) start(1);
}

/// Follows what was computed with the factors of the last round but one, where these arrive.
void FactorExchange::start(int round) {
  const int self = ranks_.rank(), next = partner(round), before = partner(ranks_.size() - round);
  const RowRange theirs = pairs_of(offer_.rows_of_rank, self, next).theirs;
  const RowRange mine = pairs_of(offer_.rows_of_rank, before, self).theirs;
  std::vector<std::int64_t> from(static_cast<std::size_t>(ranks_.size())), to(from);
  from[static_cast<std::size_t>(next)] = theirs.count;
  to[static_cast<std::size_t>(before)] = mine.count;
  const auto send_factors = [&](Tensor received, Tensor sent) {
    return ranks_.all_to_all(received.row_block(0, theirs.count),
                             sent.row_block(mine.first, mine.count), from, to);
  };
  send_factors(slot(round).dy, offer_.dy);
  slot(round).fence = send_factors(slot(round).x, offer_.x);
}

void FactorExchange::for_each(Use const& use) {
  for (int round = 1; round <= rounds(); ++round) {
    if (round < rounds()) start(round + 1);
    Slot const& here = slot(round);
    ranks_.wait(here.fence);
    const auto [mine, theirs] = pairs_of(offer_.rows_of_rank, ranks_.rank(), partner(round));
    if (mine.count == 0) continue;
    use(mine, here.dy.tensor().row_block(0, theirs.count),
        here.x.tensor().row_block(0, theirs.count));
  }
}

}  // namespace lomo
