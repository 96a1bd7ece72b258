// What a step on ranks sends and receives, and what it holds.
#include <set>
#include <string>
#include <vector>

#include "train/on_ranks.h"

namespace lomo::test {

namespace {

struct Traffic {
  double sent = 0, received = 0;
};

/// The closed form of docs/ARCHITECTURE.md for rank r of one step with a norm pass, so one forward
/// and two backwards, every k blocks recomputed.
Traffic closed_form(ModelConfig const& c, std::vector<Batch> const& batches, int rank,
                    double element, double wire, bool adalomo, int k) {
  const int ranks = static_cast<int>(batches.size());
  const auto others = static_cast<double>(ranks - 1);
  Traffic t;
  // A row block that goes out to all, and the others' that come in.
  const auto gather = [&](double mine, double all, double times) {
    t.sent += times * mine * others;
    t.received += times * (all - mine);
  };
  for (auto const& shape : weight_shapes(c)) {
    if (shape.shape.size() == 1) {  // 2 backwards: f32 gradients of all ranks
      gather(4.0 * static_cast<double>(c.width), 4.0 * static_cast<double>(c.width) * ranks, 2);
      continue;
    }
    const auto cols = static_cast<double>(shape.shape[1]);
    const auto owned = static_cast<double>(owned_rows(shape.shape[0], rank, ranks).count);
    const double all = static_cast<double>(shape.shape[0]);
    if (adalomo) {  // sums of columns, of rows, and two of squares; in the second backward
      gather(4 * cols, 4 * cols * ranks, 1);
      gather(8, 8.0 * ranks, 1);
      gather(16, 16.0 * ranks, 1);
    }
    if (shape.name.find("layers") == std::string::npos) continue;
    // Once in forward, once in each replay, and once more in each backward but for the two, of the
    // last block that is run again, that still lie in the slots.
    const int block = std::stoi(shape.name.substr(std::string("model.layers.").size()));
    const bool last = block % k == k - 1 || block == c.layers - 1;
    const bool stays = last && (shape.name.find("down_proj") != std::string::npos ||
                                shape.name.find("up_proj") != std::string::npos);
    gather(element * owned * cols, element * all * cols, stays ? 3 : 5);
    t.sent += 2 * wire * (all - owned) * cols;  // tiles
    t.received += 2 * wire * owned * cols * others;
  }
  const auto width = static_cast<double>(c.width);
  const RowRange words = owned_rows(c.vocab, rank, ranks);
  const auto in = [](RowRange rows, Batch const& batch) {
    const auto first =
        std::lower_bound(batch.unique_ids.begin(), batch.unique_ids.end(), rows.first);
    return static_cast<double>(std::lower_bound(first, batch.unique_ids.end(), rows.end()) - first);
  };
  double rows = 0;  // A
  for (int q = 0; q < ranks; ++q) {
    Batch const &batch = batches[static_cast<std::size_t>(q)],
                &own = batches[static_cast<std::size_t>(rank)];
    rows += static_cast<double>(batch.loss_count());
    if (q == rank) continue;
    const double asked = in(words, batch), asks = in(owned_rows(c.vocab, q, ranks), own);
    t.sent += width * (element * asked + 2 * wire * asks);
    t.received += width * (element * asks + 2 * wire * asked);
  }
  const auto own = static_cast<double>(batches[static_cast<std::size_t>(rank)].loss_count());
  gather(element * own * width, element * rows * width, 1);
  gather(12 * rows, 12 * rows * ranks, 1);  // running softmax
  t.sent += 2 * wire * (rows - own) * width;
  t.received += 2 * wire * own * width * others;
  return t;
}

Traffic of(Ledger const& ledger) {
  Traffic t;
  for (auto const& [name, op] : ledger.ops()) {
    t.sent += op.cost.sent;
    t.received += op.cost.received;
  }
  return t;
}

}  // namespace

TEST_CASE("a step sends and receives what the closed form says") {
  for (const bool adalomo : {false, true}) {
    for (const int ranks : {2, 3, 4, 24}) {
      RankedRun run;
      run.config = bench_config(adalomo ? OptimizerKind::adalomo : OptimizerKind::lomo, 0.5);
      run.dtype = DType::bf16;
      run.config.ranks.wire = ranks == 3 ? DType::f32 : DType::bf16;
      run.head.chunk_rows = 12;
      const int k = ranks == 3 || ranks == 4 ? 2 : 1;
      run.config.train.recompute = {k};
      run.batches = {random_sequences({9, 4, 13, 1, 8, 8, 2, 17, 5}, 2, 101, 3)};
      const RankedResult got = train_on(ranks, run);
      std::vector<Batch> shares;
      for (int q = 0; q < ranks; ++q) shares.push_back(share_of(run.batches.front(), {q, ranks}));
      double sent = 0, received = 0;
      for (int q = 0; q < ranks; ++q) {
        INFO("rank " << q << " of " << ranks << (adalomo ? " adalomo" : " lomo"));
        const Traffic t = of(got.ledgers[static_cast<std::size_t>(q)]);
        const Traffic expected =
            closed_form(run.shape, shares, q, 2, ranks == 3 ? 4 : 2, adalomo, k);
        CHECK(t.sent == expected.sent);
        CHECK(t.received == expected.received);
        sent += t.sent;
        received += t.received;
      }
      CHECK(sent == received);
    }
  }
}

}  // namespace lomo::test
