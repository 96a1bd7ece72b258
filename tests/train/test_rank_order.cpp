// What ranks exchange runs beside what they compute: the order in which both are issued. An
// exchange starts after the products before it and runs beside those after it, so what is to hide
// behind a product must be issued before it.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lomo/backend/event_log.h"
#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"
#include "train/bench.h"

namespace lomo::test {

namespace {

/// Rank 0 of some on an engine that computes nothing.
struct DryRank {
  explicit DryRank(int size = 4) : ranks(make_dry_communicator(*backend, 0, size)) {}
  std::unique_ptr<Backend> backend = make_dry_backend({.threads = 1});
  std::unique_ptr<Communicator> ranks;

  /// The names of those operations of f that are listed, in order; "wait": for an exchange.
  template <class F>
  std::vector<std::string> order_of(std::vector<std::string> const& listed, F const& f) {
    EventLog log;
    backend->set_event_log(&log);
    f();
    backend->set_event_log(nullptr);
    std::vector<std::string> names;
    for (EventLog::Event const& event : log.events()) {
      const bool waits = event.kind == EventLog::Kind::wait;
      const bool issued =
          event.kind == EventLog::Kind::operation || event.kind == EventLog::Kind::exchange;
      if (!issued && !waits) continue;
      std::string const name = waits ? "wait" : std::string(event.name);
      if (std::find(listed.begin(), listed.end(), name) != listed.end()) names.push_back(name);
    }
    return names;
  }
};

}  // namespace

TEST_CASE("the next matrix is fetched before the product with this one is issued") {
  DryRank self;
  Decoder model(*self.backend, tiny_config(false), DType::bf16, {}, *self.ranks);
  const ShardedBatch batch =
      replicated_batch(make_batch(random_sequences({9, 4, 13}, 0, 101, 3)), 0, self.ranks->size());
  const std::size_t matrices = std::size_t{7} * 3;  // of all blocks
  Pass pass;
  const auto forward = self.order_of({"all_gather", "linear"},
                                     [&] { pass = model.forward(batch, Recompute::block); });
  std::size_t fetched = 0, products = 0;
  for (std::string const& name : forward) {
    if (products == matrices) break;  // what follows is the head's
    if (name == "all_gather") {
      fetched += 1;
    } else {
      CHECK(fetched == std::min(products + 2, matrices));  // this one and the next, no more
      products += 1;
    }
  }
  CHECK(products == matrices);

  // Backward: of each block seven matrices for its recomputation and five more, for two still lie
  // there.
  struct Nothing final : GradientSink {
    bool all = true;  // or the query projections alone
    bool requires_grad(ParameterGroup const& group) const override {
      return all || group.members().front().name.find("q_proj") != std::string::npos;
    }
    void offer(ParameterGroup&, Offer, bool) override {}
  } sink;
  const auto gathers = [&](bool keep) {
    return self.order_of({"all_gather"}, [&] { model.backward(pass, sink, 1, keep); }).size();
  };
  CHECK(gathers(/*keep=*/true) == std::size_t{12} * 3);
  sink.all = false;  // then q, k and v of the lowest block are read by its recomputation alone
  CHECK(gathers(/*keep=*/false) == std::size_t{12} * 3 - 3);

  // Two blocks together: of the lower one all matrices for its recomputation, and all again.
  pass = model.forward(batch, Recompute{2});
  sink.all = true;
  CHECK(gathers(/*keep=*/true) == std::size_t{12} + (7 + 12 + 7));
  const auto announced = self.order_of({"all_gather", "linear", "linear_backward_input"},
                                       [&] { model.backward(pass, sink, 1, /*keep=*/false); });
  // One that was not announced would be fetched when it is asked for, right before the next one.
  const auto unexpected = std::adjacent_find(
      announced.begin(), announced.end(),
      [](auto const& a, auto const& b) { return a == "all_gather" && b == "all_gather"; });
  CHECK(unexpected == announced.end());
}

TEST_CASE("the next gradient tile is rendered and sent before this one is waited for") {
  DryRank self;
  ParameterGroup group(*self.backend, DType::bf16, {{"w", 64}}, 16, rank_info(*self.ranks));
  const Buffer dy = self.backend->allocate({10, 64}, DType::bf16, Category::activations, "dy");
  const Buffer x = self.backend->allocate({10, 16}, DType::bf16, Category::activations, "x");
  const TileSize two_rows{std::size_t{2} * 16 * sizeof(float)};
  NormProbe probe({*self.backend, two_rows, {}, GradientComm{*self.ranks}}, 1,
                  NormMethod::cheapest);
  const auto order = self.order_of({"all_to_all", "sum_partials"}, [&] {
    probe.offer(group, LinearOffer{Factor::lent(dy), Factor::lent(x)}, true);
  });
  std::vector<std::string> expected{"all_to_all"};  // 8 tiles of the 16 rows of each owner
  for (int tile = 1; tile < 8; ++tile) {
    expected.emplace_back("all_to_all");
    expected.emplace_back("sum_partials");
  }
  expected.emplace_back("sum_partials");
  CHECK(order == expected);
}

TEST_CASE("the next factors are on their way before this rank multiplies with these") {
  DryRank self(5);  // two rounds
  const std::vector<std::int64_t> rows(5, 8);
  ParameterGroup group(*self.backend, DType::bf16, {{"w", 200}}, 100, rank_info(*self.ranks));
  const Buffer dy = self.backend->allocate({8, 200}, DType::bf16, Category::activations, "dy");
  const Buffer x = self.backend->allocate({8, 100}, DType::bf16, Category::activations, "x");
  NormProbe probe({*self.backend, TileSize{}, {}, GradientComm{*self.ranks}}, 1,
                  NormMethod::cheapest);
  const auto order = self.order_of({"all_to_all", "wait", "inner_product"}, [&] {
    probe.offer(group, LinearOffer{Factor::lent(dy), Factor::lent(x), rows}, true);
  });
  const std::string send = "all_to_all", wait = "wait", sum = "inner_product";
  CHECK(order == std::vector<std::string>{send, send, sum, send, send, wait, sum, wait, sum});
}

TEST_CASE(
    "after a gradient check a tile is one product for all owners, one exchange and one update") {
  DryRank self;
  // Of 63 rows the last rank owns 15, so that its eighth tile is shorter and a product of its own.
  for (const std::int64_t rows : {64, 62, 63}) {
    ParameterGroup group(*self.backend, DType::bf16, {{"w", rows}}, 16, rank_info(*self.ranks));
    const Buffer dy = self.backend->allocate({10, rows}, DType::bf16, Category::activations, "dy");
    const Buffer x = self.backend->allocate({10, 16}, DType::bf16, Category::activations, "x");
    const auto rule = make_update_rule(*self.backend, {}, {&group});
    const TileSize two_rows{std::size_t{2} * 16 * sizeof(float)};
    FusedUpdate update({*self.backend, two_rows, *rule, GradientComm{*self.ranks}}, {});
    self.backend->ledger().restart();
    update.offer(group, LinearOffer{Factor::lent(dy), Factor::lent(x)}, true);
    std::map<std::string, std::uint64_t> calls;
    for (auto const& [name, op] : self.backend->ledger().ops()) {
      if (op.calls > 0) calls[name] = op.calls;
    }
    const std::uint64_t products = rows == 63 ? 9 : 8;
    CHECK(calls == std::map<std::string, std::uint64_t>{{"all_to_all", 8},
                                                        {"linear_backward_weights", products},
                                                        {"sgd_update", 8}});
  }
}

}  // namespace lomo::test
