// What a step on ranks sends and receives, and what it holds.
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "train/on_ranks.h"

namespace lomo::test {

namespace {

struct Traffic {
  double sent = 0, received = 0;
};

/// Matrices of one block of memory: owned and tiled together.
struct Group {
  std::vector<std::int64_t> rows;  // of the whole members
  std::int64_t cols = 0;
};

std::vector<Group> groups_of_block(ModelConfig const& c) {
  const std::int64_t queries = c.heads * c.head_width, keys = c.kv_heads * c.head_width;
  return {{{queries, keys, keys}, c.width},
          {{c.width}, queries},
          {{c.ffn, c.ffn}, c.width},
          {{c.width}, c.ffn}};
}

/// Rows that rank q is sent of each of the others for the norm of a matrix's gradient, of which
/// rank r has rows[r]: all those of the ranks that follow it, half way round; of the one that it
/// faces (R even) all, or the second half where that is the lower rank.
std::vector<double> rows_for_norm(std::vector<std::int64_t> const& rows, std::size_t q) {
  std::vector<double> sent(rows.size());
  for (std::size_t d = 1; 2 * d <= rows.size(); ++d) {
    const std::size_t p = (q + d) % rows.size();
    const bool faced = 2 * d == rows.size();
    const std::int64_t own = faced && q < p ? rows[q] / 2 : rows[q];
    const std::int64_t theirs = faced && p < q ? rows[p] - rows[p] / 2 : rows[p];
    sent[p] = own > 0 ? static_cast<double>(theirs) : 0;
  }
  return sent;
}

/// How the norm pass finds the norms of block matrices.
enum class NormBy : std::uint8_t { tiles, factors };

/// The closed form of docs/ARCHITECTURE.md for rank r of one step with a norm pass, so one forward
/// and two backwards, every k blocks recomputed.
Traffic closed_form(ModelConfig const& c, std::vector<Batch> const& batches, int rank,
                    double element, double comm_dtype, bool adalomo, int k, NormBy norms) {
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
    // Once in forward, once in each recomputation, and once more in each backward but for the two,
    // of the last block that is recomputed, that still lie in the slots.
    const int block = std::stoi(shape.name.substr(std::string("model.layers.").size()));
    const bool last = block % k == k - 1 || block == c.layers - 1;
    const bool stays = last && (shape.name.find("down_proj") != std::string::npos ||
                                shape.name.find("up_proj") != std::string::npos);
    gather(element * owned * cols, element * all * cols, stays ? 3 : 5);
    const double times = norms == NormBy::tiles ? 2 : 1;
    t.sent += times * comm_dtype * (all - owned) * cols;
    t.received += times * comm_dtype * owned * cols * others;
  }
  const auto factors = [&](std::int64_t width, std::vector<std::int64_t> const& of_rank) {
    for (std::size_t q = 0; q < of_rank.size(); ++q) {
      const std::vector<double> sent = rows_for_norm(of_rank, q);
      const double row = element * static_cast<double>(width);
      t.sent += row * sent[static_cast<std::size_t>(rank)];
      if (std::cmp_not_equal(q, rank)) continue;
      t.received += row * std::accumulate(sent.begin(), sent.end(), 0.0);
    }
  };
  std::vector<std::int64_t> tokens, targets;
  for (Batch const& batch : batches) {
    tokens.push_back(batch.rows());
    targets.push_back(batch.loss_count());
  }
  for (std::int64_t block = 0; norms == NormBy::factors && block < c.layers; ++block) {
    const std::vector<Group> groups = groups_of_block(c);
    const bool last = block + 1 == c.layers;  // its queries and all after them have a target
    for (std::size_t g = 0; g < groups.size(); ++g) {
      std::int64_t outputs = std::accumulate(groups[g].rows.begin(), groups[g].rows.end(), 0L);
      if (last && g == 0) {
        factors(groups[g].rows.front() + groups[g].cols, targets);
        outputs -= groups[g].rows.front();
      }
      factors(outputs + groups[g].cols, last && g > 0 ? targets : tokens);
    }
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
    t.sent += width * (element * asked + 2 * comm_dtype * asks);
    t.received += width * (element * asks + 2 * comm_dtype * asked);
  }
  const auto own = static_cast<double>(batches[static_cast<std::size_t>(rank)].loss_count());
  gather(element * own * width, element * rows * width, 1);
  gather(12 * rows, 12 * rows * ranks, 1);  // running softmax
  t.sent += 2 * comm_dtype * (rows - own) * width;
  t.received += 2 * comm_dtype * own * width * others;
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
  const auto norms = GENERATE(NormBy::tiles, NormBy::factors);
  for (const bool adalomo : {false, true}) {
    for (const int ranks : {2, 3, 4, 5, 24}) {
      RankedRun run;
      run.config = bench_config(adalomo ? OptimizerKind::adalomo : OptimizerKind::lomo, 0.5);
      run.dtype = DType::bf16;
      run.config.ranks.comm_dtype = ranks == 3 ? DType::f32 : DType::bf16;
      run.head.chunk_rows = 12;
      const int k = ranks == 3 || ranks == 4 ? 2 : 1;
      run.config.train.recompute = {k};
      const std::vector<int> few = {5, 3, 4}, many = {9, 4, 13, 1, 8, 8, 2, 17, 5};
      run.batches = {random_sequences(norms == NormBy::factors ? few : many, 2, 101, 3)};
      const RankedResult got = train_on(ranks, run);
      std::vector<Batch> shares;
      for (int q = 0; q < ranks; ++q)
        shares.push_back(shard_batch(run.batches.front(), {q, ranks}).mine);
      double sent = 0, received = 0;
      for (int q = 0; q < ranks; ++q) {
        INFO("rank " << q << " of " << ranks << (adalomo ? " adalomo" : " lomo"));
        const Traffic t = of(got.ledgers[static_cast<std::size_t>(q)]);
        const Traffic expected =
            closed_form(run.shape, shares, q, 2, ranks == 3 ? 4 : 2, adalomo, k, norms);
        CHECK(t.sent == expected.sent);
        CHECK(t.received == expected.received);
        sent += t.sent;
        received += t.received;
      }
      CHECK(sent == received);
    }
  }
}

namespace {

std::size_t allocated(std::int64_t rows, std::int64_t cols, std::size_t element) {
  const std::size_t bytes = static_cast<std::size_t>(rows * cols) * element;
  return (bytes + Slab::kAlignment - 1) / Slab::kAlignment * Slab::kAlignment;
}

/// What rank q of R holds at most, by category, in a bf16 step of LOMO with bf16 as communication
/// dtype.
struct MemoryUse {
  std::size_t weights = 0, gradients = 0, communication = 0;
};

MemoryUse closed_form_held(ModelConfig const& c, std::vector<Batch> const& batches, int rank,
                           TileSize tile) {
  const int ranks = static_cast<int>(batches.size());
  constexpr std::size_t kElement = 2, kF32 = 4;
  const auto owned = [&](std::int64_t rows, int q) { return owned_rows(rows, q, ranks).count; };
  MemoryUse held;
  // The shard; norms are whole.
  held.weights = static_cast<std::size_t>(2 * c.layers + 1) * allocated(1, c.width, kElement) +
                 2 * allocated(owned(c.vocab, rank), c.width, kElement);
  // The ring, and in one group at a time two tiles under way to their owners and back.
  std::int64_t largest = 0;
  std::size_t flights = 0;
  for (Group const& group : groups_of_block(c)) {
    std::int64_t shard = 0, maximum = 0, here = 0, tiles = 0;
    for (const std::int64_t rows : group.rows) {
      shard += owned(rows, rank);
      maximum = std::max(maximum, owned(rows, 0));
      here = std::max(here, owned(rows, rank));
      largest = std::max(largest, rows * group.cols);
    }
    held.weights += static_cast<std::size_t>(c.layers) * allocated(shard, group.cols, kElement);
    const std::int64_t t = tile.rows_for(Shape(maximum, group.cols));
    std::int64_t sent = 0;
    for (const std::int64_t rows : group.rows) {
      tiles += (owned(rows, 0) + t - 1) / t;
      std::int64_t of_member = 0;
      for (int q = 0; q < ranks; ++q) of_member += std::min(t, owned(rows, q));
      sent = std::max(sent, of_member);
    }
    const std::int64_t arrives = ranks * std::min(t, here);
    flights = std::max(flights, static_cast<std::size_t>(std::min<std::int64_t>(tiles, 2)) *
                                    (allocated(sent, group.cols, kElement) +
                                     allocated(arrives, group.cols, kElement)));
    held.gradients = std::max(held.gradients, allocated(std::min(t, maximum), group.cols, kF32) +
                                                  allocated(std::min(t, here), group.cols, kF32));
  }
  // Rows of the embedding go the same way, as many as ids allow.
  const std::int64_t t = tile.rows_for(Shape(owned(c.vocab, 0), c.width));
  std::int64_t arrive = 0;
  for (Batch const& batch : batches) {
    arrive += std::min(t, static_cast<std::int64_t>(batch.unique_ids.size()));
  }
  const auto ids =
      static_cast<std::int64_t>(batches[static_cast<std::size_t>(rank)].unique_ids.size());
  flights = std::max(flights, 2 * (allocated(std::min(ids, ranks * t), c.width, kElement) +
                                   allocated(arrive, c.width, kElement)));
  held.gradients =
      std::max(held.gradients, 2 * allocated(std::min(t, owned(c.vocab, rank)), c.width, kF32));
  // In forward they come from their owners, a tile of the vocabulary at a time.
  const std::int64_t words = HeadOptions{}.vocabulary_tile(ranks);
  std::int64_t asked = 0;
  for (Batch const& batch : batches) {
    asked += std::min(words, static_cast<std::int64_t>(batch.unique_ids.size()));
  }
  flights = std::max(flights, allocated(asked, c.width, kElement) +
                                  allocated(std::min(ids, ranks * words), c.width, kElement));
  held.communication = 2 * allocated(largest, 1, kElement) + flights;
  return held;
}

/// The lists of a batch in engine memory, of which `rows` (A) and `ids` are those of all ranks.
std::size_t lists_of(Batch const& batch, std::int64_t rows, std::int64_t ids, bool several) {
  const auto padded = [](std::int64_t n) { return (n + 3) / 4 * 4; };  // to 16 bytes
  const auto unique = static_cast<std::int64_t>(batch.unique_ids.size());
  std::int64_t entries = 3 * padded(batch.rows()) + 2 * padded(batch.sequences() + 1) +
                         2 * padded(batch.loss_count()) + padded(unique + 1) + padded(rows) +
                         padded(ids);
  if (several) entries += padded(batch.rows()) + padded(ids);
  return allocated(entries, 1, sizeof(std::int32_t));
}

/// Activations of rank q: as one rank alone would have them with its share, but of the head the
/// rows of all ranks with its own part of the vocabulary, and what must be known of all batches.
/// (What else is kept of the rows that carry loss is less than an aligned block either way.)
std::size_t activations_of(RankedRun const& run, std::vector<Batch> const& shares, int rank) {
  Batch const& batch = shares[static_cast<std::size_t>(rank)];
  ModelConfig const& c = run.shape;
  std::size_t held = 0;
  on_ranks(1, [&](Backend& backend, Communicator&, int) {
    Decoder model(backend, run.shape, run.dtype, run.head);
    fill_weights(model, 1);
    Trainer trainer(model, run.config, Schedule(ScheduleKind::constant, 0.05, 0, 10));
    backend.ledger().restart();
    trainer.step(batch);
    held = backend.ledger().peak_by_category()[static_cast<std::size_t>(Category::activations)];
  });
  const auto head = [&](std::int64_t rows, std::int64_t words) {  // X' and logits
    return allocated(rows, c.width, 2) + allocated(rows, words, sizeof(float));
  };
  std::int64_t rows = 0, ids = 0;
  for (Batch const& share : shares) {
    rows += share.loss_count();
    ids += static_cast<std::int64_t>(share.unique_ids.size());
  }
  const std::int64_t words = owned_rows(c.vocab, rank, static_cast<int>(shares.size())).count;
  const auto unique = static_cast<std::int64_t>(batch.unique_ids.size());
  return held - head(batch.loss_count(), c.vocab) + head(rows, words) -
         lists_of(batch, batch.loss_count(), unique, false) + lists_of(batch, rows, ids, true);
}

}  // namespace

TEST_CASE("a rank holds its shard, the ring, tiles, and the activations of its share") {
  for (const int ranks : {2, 3, 4, 8}) {
    RankedRun run;
    run.config = bench_config(OptimizerKind::lomo, 0.5);
    run.config.memory.tile_bytes = 3000;
    run.dtype = DType::bf16;
    // Few targets, so that blocks hold more than the head.
    run.batches = {random_sequences({40, 36, 38, 33, 37, 39, 34, 35, 40, 36}, 31, 101, 3)};
    const RankedResult got = train_on(ranks, run);
    std::vector<Batch> shares;
    for (int q = 0; q < ranks; ++q)
      shares.push_back(shard_batch(run.batches.front(), {q, ranks}).mine);
    for (int q = 0; q < ranks; ++q) {
      INFO("rank " << q << " of " << ranks);
      const auto& peak = got.ledgers[static_cast<std::size_t>(q)].peak_by_category();
      const auto of = [&](Category category) { return peak[static_cast<std::size_t>(category)]; };
      const MemoryUse held =
          closed_form_held(run.shape, shares, q, TileSize{run.config.memory.tile_bytes});
      CHECK(of(Category::weights) == held.weights);
      CHECK(of(Category::gradients) == held.gradients);
      CHECK(of(Category::communication) == held.communication);
      CHECK(of(Category::optimizer) == 0);
      CHECK(of(Category::activations) == activations_of(run, shares, q));
    }
  }
}

}  // namespace lomo::test
