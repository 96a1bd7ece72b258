// Norms from Gram matrices on ranks: of factors that every rank has some rows of.
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "lomo/optim/sinks/norm_probe.h"
#include "norm/factor_exchange.h"
#include "norm/gram_norm.h"
#include "squares.h"
#include "support/catch.h"
#include "support/tensors.h"
#include "support/thread_ranks.h"

namespace lomo::test {

namespace {

/// A linear layer (O,I) and how many tokens each rank has.
struct Layer {
  std::vector<std::int64_t> rows;  // (R) N of each
  DType dtype;
  std::vector<std::int64_t> members;
  std::int64_t inputs;
  DType comm_dtype = DType::bf16;
  std::vector<float> dy, x;  // (M,O), (M,I) of all ranks, rank after rank

  Layer(std::vector<std::int64_t> tokens, DType type,
        std::vector<std::int64_t> outputs_of_members = {90, 50, 50}, std::int64_t cols = 110)
      : rows(std::move(tokens)), dtype(type), members(std::move(outputs_of_members)), inputs(cols) {
    dy = rounded(random_values("dy", all() * outputs()), dtype);
    x = rounded(random_values("x", all() * inputs), dtype);
  }
  int ranks() const { return static_cast<int>(rows.size()); }
  std::int64_t all() const { return std::accumulate(rows.begin(), rows.end(), std::int64_t{0}); }
  std::int64_t outputs() const {
    return std::accumulate(members.begin(), members.end(), std::int64_t{0});
  }

  /// ||dy^T x||^2 in double.
  double squares() const { return squares_of_product(dy, x, outputs(), inputs); }

  /// f(backend, group, offer, exchange, rank) on every rank.
  template <class F>
  void on_each(F const& f) const {
    on_ranks(ranks(), [&](Backend& backend, Communicator& communicator, int rank) {
      std::vector<ParameterGroup::Spec> specs;
      for (std::int64_t const o : members) {
        specs.push_back({"member" + std::to_string(specs.size()), o});
      }
      ParameterGroup group(backend, dtype, specs, inputs, {rank, ranks()});
      const std::int64_t n = rows[static_cast<std::size_t>(rank)];
      const std::int64_t before =
          std::accumulate(rows.begin(), rows.begin() + rank, std::int64_t{0});
      const auto part = [&](std::vector<float> const& whole, std::int64_t cols) {
        const auto first = whole.begin() + before * cols;
        return make(backend, Shape(n, cols), dtype, std::vector(first, first + n * cols));
      };
      const Buffer my_dy = part(dy, outputs()), my_x = part(x, inputs);
      f(backend, group, LinearOffer{Factor::lent(my_dy), Factor::lent(my_x), rows},
        GradientComm{communicator, comm_dtype}, rank);
    });
  }

  struct Probed {
    GradientStats stats;             // the same on all ranks
    std::vector<Ledger> accounting;  // by rank
    /// Of all ranks together.
    std::uint64_t calls(std::string const& name) const {
      std::uint64_t sum = 0;
      for (Ledger const& book : accounting) {
        const auto op = book.ops().find(name);
        if (op != book.ops().end()) sum += op->second.calls;
      }
      return sum;
    }
  };
  Probed probe(NormMethod method) const {
    Probed probed;
    probed.accounting.resize(rows.size());
    std::vector<GradientStats> stats(rows.size());
    on_each([&](Backend& backend, ParameterGroup& group, LinearOffer offer,
                GradientComm gradient_comm, int rank) {
      NormProbe sink({backend, TileSize{4000}, {}, gradient_comm}, 0.5f, method);
      backend.ledger().restart();
      sink.offer(group, std::move(offer), true);
      probed.accounting[static_cast<std::size_t>(rank)] = backend.ledger();
      stats[static_cast<std::size_t>(rank)] = sink.stats();
    });
    probed.stats = stats.front();
    for (GradientStats const& s : stats) {
      CHECK(s.sum_of_squares == probed.stats.sum_of_squares);
      CHECK(s.nonfinite == probed.stats.nonfinite);
    }
    return probed;
  }
};

/// Sums of k products in f32: a random walk of roundings, four times for safety.
double rounding_of(Layer const& layer) {
  return 4 * std::sqrt(static_cast<double>(layer.outputs() + layer.inputs)) * 0x1p-24;
}

}  // namespace

TEST_CASE("each pair of rows of two ranks is one rank's to multiply") {
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    for (const std::int64_t minimum : {0, 1, 4}) {
      std::vector<std::int64_t> rows;
      for (int q = 0; q < ranks; ++q) rows.push_back(minimum + (q * 3) % 5);
      double send_factors = 0;
      for (int q = 0; q < ranks; ++q) {
        for (int p = 0; p < ranks; ++p) {
          INFO(ranks << " ranks, " << q << " and " << p);
          const Pairs one = pairs_of(rows, q, p), other = pairs_of(rows, p, q);
          send_factors += static_cast<double>(one.theirs.count);
          CHECK(one.theirs.end() <= rows[static_cast<std::size_t>(p)]);
          for (std::int64_t r = 0; r < rows[static_cast<std::size_t>(q)]; ++r) {
            for (std::int64_t s = 0; s < rows[static_cast<std::size_t>(p)]; ++s) {
              const auto in = [](RowRange range, std::int64_t row) {
                return row >= range.first && row < range.end();
              };
              const int taken = (in(one.mine, r) && in(one.theirs, s) ? 1 : 0) +
                                (in(other.mine, s) && in(other.theirs, r) ? 1 : 0);
              CHECK(taken == (q == p ? 0 : 1));
            }
          }
        }
      }
      double sent = 0, received = 0, pairs = 0;
      for (int q = 0; q < ranks; ++q) {
        const PairLoad load = pair_load(rows, q);
        sent += load.sent;
        received += load.received;
        pairs += load.pairs;
      }
      CHECK(sent == send_factors);
      CHECK(received == send_factors);
      const auto total = static_cast<double>(std::accumulate(rows.begin(), rows.end(), 0L));
      double own = 0;
      for (const std::int64_t n : rows) own += static_cast<double>(n * n);
      CHECK(pairs == (total * total - own) / 2);
    }
  }
}

TEST_CASE("ranks with as many rows multiply as many pairs") {
  for (const int ranks : {2, 3, 4, 7, 8}) {
    const std::vector<std::int64_t> rows(static_cast<std::size_t>(ranks), 10);
    for (int q = 0; q < ranks; ++q) {
      CHECK(pair_load(rows, q).pairs == 10.0 * 10 * (ranks - 1) / 2);
    }
  }
}

TEST_CASE("the norm from factors of all ranks is that of their summed gradient") {
  const auto dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::vector<std::vector<std::int64_t>> tokens = {
      {20, 21},     {0, 30},         {30, 0},
      {0, 0},       {1, 1},          {9, 0, 14},
      {5, 8, 9, 7}, {4, 4, 4, 4, 4}, {6, 0, 3, 1, 0, 7, 2, 5}};
  for (auto const& rows : tokens) {
    Layer layer(rows, dtype);
    layer.comm_dtype = dtype == DType::f32 ? DType::f32 : DType::bf16;
    INFO(layer.ranks() << " ranks, " << layer.all() << " tokens of " << to_string(dtype));
    const auto got = layer.probe(NormMethod::cheapest);
    CHECK((got.calls("inner_product") > 0) == (layer.all() > 0));
    CHECK(got.calls("sum_partials") == 0);  // no gradient was made
    CHECK(got.stats.finite());
    CHECK(got.stats.sum_of_squares ==
          Approx(0.25 * layer.squares()).epsilon(rounding_of(layer)).margin(0));
  }
}

TEST_CASE("more rows of a rank than exist of a Gram matrix at once") {
  Layer layer({300, 270}, DType::f32, {1200}, 1300);
  layer.comm_dtype = DType::f32;
  const auto gram = layer.probe(NormMethod::cheapest), tiles = layer.probe(NormMethod::tiles);
  CHECK(gram.calls("inner_product") > 0);
  CHECK(gram.stats.sum_of_squares ==
        Approx(tiles.stats.sum_of_squares).epsilon(rounding_of(layer)));
}

TEST_CASE("ranks whose gradients cancel each other measure the gradient itself") {
  Layer layer({28, 28}, DType::f32);
  for (std::size_t i = 0; i < layer.dy.size() / 2; ++i) {  // rank 1 takes back what rank 0 gives
    layer.dy[i + layer.dy.size() / 2] = -layer.dy[i];
  }
  for (std::size_t i = 0; i < layer.x.size() / 2; ++i) {
    layer.x[i + layer.x.size() / 2] = layer.x[i] * (1 + 0x1p-16f);
  }
  layer.comm_dtype = DType::f32;
  const auto gram = layer.probe(NormMethod::cheapest), tiles = layer.probe(NormMethod::tiles);
  CHECK(gram.calls("inner_product") > 0);  // it was tried
  CHECK(gram.stats.sum_of_squares > 0);
  CHECK(gram.stats.sum_of_squares == tiles.stats.sum_of_squares);
  for (float& v : layer.x) v = std::abs(v);  // the same sizes, and nothing cancels
  for (float& v : layer.dy) v = std::abs(v);
  CHECK(layer.probe(NormMethod::cheapest).calls("sum_partials") == 0);
}

TEST_CASE("what is not finite on one rank is counted on all") {
  Layer layer({10, 12, 9}, DType::bf16);
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  layer.dy[static_cast<std::size_t>(15 * layer.outputs()) + 3] = bad;  // of rank 1
  const auto got = layer.probe(NormMethod::cheapest);
  CHECK(got.calls("inner_product") > 0);  // it was tried
  CHECK_FALSE(got.stats.finite());
  CHECK(got.stats.nonfinite == static_cast<double>(layer.inputs));  // one row of the gradient
}

TEST_CASE("factors are sent where they are fewer operations and no more bytes than tiles") {
  const auto cheaper = [](std::vector<std::int64_t> const& rows, DType dtype, DType comm_dtype,
                          bool known = true) {
    Layer layer(rows, dtype);
    layer.comm_dtype = comm_dtype;
    std::vector<char> answers(rows.size());
    layer.on_each([&](Backend&, ParameterGroup& group, LinearOffer offer,
                      GradientComm gradient_comm, int rank) {
      if (!known) offer.rows_of_rank = {};
      std::vector<Offer> offers;
      offers.emplace_back(std::move(offer));
      answers[static_cast<std::size_t>(rank)] = gram_is_cheaper(group, offers, gradient_comm);
    });
    for (const char answer : answers) CHECK(answer == answers.front());
    return answers.front() != 0;
  };
  // Of a layer (190,110) each of two ranks of N rows makes 3/2 N^2 entries of each Gram matrix, and
  // 3/2 N^2 300 <= 2/3 N 190 110; one of them fetches N rows, and N 300 <= 1/2 190 110 elements.
  CHECK(cheaper({30, 30}, DType::bf16, DType::bf16));
  CHECK_FALSE(cheaper({31, 31}, DType::bf16, DType::bf16));
  CHECK(cheaper({30, 30}, DType::f32, DType::f32));
  CHECK(cheaper({17, 17}, DType::f32, DType::bf16));  // factors twice as wide as tiles
  CHECK_FALSE(cheaper({18, 18}, DType::f32, DType::bf16));
  CHECK_FALSE(cheaper({20, 20}, DType::bf16, DType::bf16, /*known=*/false));
  CHECK(cheaper({46, 0}, DType::f32, DType::bf16));  // nothing is sent: N 300 <= 2/3 190 110
  CHECK_FALSE(cheaper({47, 0}, DType::f32, DType::bf16));
}

}  // namespace lomo::test
