#include "gram_norm.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "factor_exchange.h"
#include "gram_sum.h"

namespace lomo {

namespace {

double product(std::int64_t a, std::int64_t b, std::int64_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

/// What a norm takes, of the rank that has most to do: it is waited for.
struct Effort {
  double products = 0;
  double bytes = 0;  // one way
};

Effort operator+(Effort const& a, Effort const& b) {
  return {a.products + b.products, a.bytes + b.bytes};
}

/// Small square products reach less of an engine's rate than the long ones of dy^T x: they must
/// take at most two thirds of the operations.
bool cheaper(Effort const& gram, Effort const& formed) {
  return 3 * gram.products <= 2 * formed.products && gram.bytes <= formed.bytes;
}

/// The pairs of rows of all ranks, and the rows that are sent for them.
Effort gram_effort(LinearOffer const& offer, std::span<std::int64_t const> rows) {
  const Tensor dy = offer.dy, x = offer.x;
  const auto width = static_cast<double>(dy.cols() + x.cols());
  double entries = 0, send_factors = 0;
  for (int q = 0; std::cmp_less(q, rows.size()); ++q) {
    const PairLoad load = pair_load(rows, q);
    entries = std::max(entries, GramSum::triangle(rows[static_cast<std::size_t>(q)]) + load.pairs);
    send_factors = std::max({send_factors, load.received, load.sent});
  }
  return {entries * width, send_factors * width * static_cast<double>(size_of(x.dtype()))};
}

/// dy^T x of every rank, and the tiles that are sent.
Effort formed_effort(LinearOffer const& offer, std::span<std::int64_t const> rows,
                     DType comm_dtype) {
  const Tensor dy = offer.dy, x = offer.x;
  const double elements = product(1, dy.cols(), x.cols());
  const double ranks = static_cast<double>(rows.size());
  return {static_cast<double>(std::ranges::max(rows)) * elements,
          (ranks - 1) / ranks * elements * static_cast<double>(size_of(comm_dtype))};
}

bool linear_offers_are_cheaper(std::vector<Offer> const& offers,
                               GradientComm const& gradient_comm) {
  Effort gram, formed;
  std::size_t covered = 0;  // members so far: offers that overlap would have a cross term
  for (auto const& offer : offers) {
    auto const* linear = std::get_if<LinearOffer>(&offer);
    if (linear == nullptr || linear->first < covered) return false;
    covered = std::min(linear->count, kAllMembers - linear->first) + linear->first;
    const std::int64_t own[] = {linear->x.tensor().rows()};
    const std::span<std::int64_t const> rows =
        linear->rows_of_rank.empty() ? std::span(own) : linear->rows_of_rank;
    if (std::cmp_not_equal(rows.size(), gradient_comm.ranks.size())) return false;  // not known
    gram = gram + gram_effort(*linear, rows);
    formed = formed + formed_effort(*linear, rows, gradient_comm.comm_dtype);
  }
  return cheaper(gram, formed);
}

bool head_offer_is_cheaper(HeadOffer const& offer, Tensor w) {
  const std::int64_t n = offer.x.tensor().rows();
  const double gram =
      product(n, n, w.rows()) + GramSum::triangle(n) * static_cast<double>(w.cols());
  return cheaper({gram}, {product(n, w.rows(), w.cols())});
}

void add(GramSum& sum, Backend& backend, LinearOffer const& offer, Communicator& ranks) {
  const Tensor dy = offer.dy, x = offer.x;  // (N,O), (N,I)
  FactorExchange others(backend, ranks, offer);
  sum.add(dy, x);
  others.for_each([&](RowRange mine, Tensor other_dy, Tensor other_x) {
    sum.add_pairs(dy.row_block(mine.first, mine.count), x.row_block(mine.first, mine.count),
                  other_dy, other_x);
  });
}

}  // namespace

bool gram_is_cheaper(ParameterGroup const& group, std::vector<Offer> const& offers,
                     GradientComm const& gradient_comm) {
  auto const* const head = std::get_if<HeadOffer>(&offers.front());
  if (head != nullptr && offers.size() == 1) {
    return head_offer_is_cheaper(*head, group.single().value);
  }
  return linear_offers_are_cheaper(offers, gradient_comm);
}

std::optional<double> gram_norm_squared(Backend& backend, ParameterGroup const& group,
                                        std::vector<Offer> const& offers,
                                        GradientComm const& gradient_comm) {
  if (!gram_is_cheaper(group, offers, gradient_comm)) return std::nullopt;
  const EventLog::Scope about(backend.ledger().event_log(),
                              "norm of " + group.members().front().name);
  GramSum sum(backend);
  for (auto const& offer : offers) {
    if (auto const* linear = std::get_if<LinearOffer>(&offer)) {
      add(sum, backend, *linear, gradient_comm.ranks);
    } else {
      sum.add(std::get<HeadOffer>(offer), group.single());
    }
  }
  return sum.trusted(gradient_comm.ranks);
}

}  // namespace lomo
