// The same global batch on any number of ranks: the same losses and weights.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lomo/train/scoring.h"
#include "train/on_ranks.h"

namespace lomo::test {

namespace {

/// Three batches: one of many sequences, one of fewer than there may be ranks (some get no tokens),
/// one in which only one sequence has targets.
std::vector<std::vector<Sequence>> three_batches() {
  auto last = random_sequences({12, 3, 9, 7}, 2, 101, 6);
  for (std::size_t s = 1; s < last.size(); ++s) {
    last[s].targets.assign(last[s].targets.size(), kNoTarget);
  }
  return {random_sequences({9, 4, 13, 1, 8, 8, 2, 17, 5}, 2, 101, 3),
          random_sequences({11, 6}, 0, 101, 4), last};
}

RankedRun run_of(OptimizerKind kind, bool tied, DType comm_dtype) {
  RankedRun run;
  run.config = bench_config(kind, 0.5);
  run.config.optimizer.lr = kind == OptimizerKind::adamw ? 1e-3 : 0.05;
  run.config.ranks.comm_dtype = comm_dtype;
  run.shape = tiny_config(tied);
  run.batches = three_batches();
  return run;
}

RankedResult start_of(RankedRun run) {
  run.batches.clear();
  return train_on(1, run);
}

/// How far two runs may be apart, as a share of the way they came. In f32 sums over tokens and over
/// the vocabulary are cut differently: some dozen sums of up to 101 terms on the way of a gradient.
/// A bf16 communication dtype rounds twice on it, at the head and at the tile, each rank's part,
/// none larger than the whole. Rules that divide by the size of each element turn a relative error
/// of small ones into a like share of wrong ones, whose root is the distance.
double bound(RankedRun const& run, int ranks) {
  double once = 4 * std::sqrt(20.0 * 101.0) * 0x1p-24;
  if (run.config.ranks.comm_dtype == DType::bf16) once += 2 * 0x1p-9 * ranks;
  const bool adaptive = run.config.optimizer.kind == OptimizerKind::adalomo ||
                        run.config.optimizer.kind == OptimizerKind::adamw;
  return adaptive ? std::sqrt(once) : once * static_cast<double>(run.batches.size());
}

void check_ranks(RankedRun const& run, std::vector<int> const& counts) {
  const RankedResult alone = train_on(1, run), start = start_of(run);
  for (const int ranks : counts) {
    INFO(to_string(run.config.optimizer.kind)
         << " tied " << run.shape.tied_embeddings << " communication dtype "
         << to_string(run.config.ranks.comm_dtype) << " ranks " << ranks);
    const RankedResult got = train_on(ranks, run);
    const double allowed = bound(run, ranks);
    for (std::size_t i = 0; i < run.batches.size(); ++i) {
      StepReport const &a = got.reports[i], &b = alone.reports[i];
      CHECK(a.outcome == b.outcome);
      CHECK(a.tokens == b.tokens);
      CHECK(a.targets == b.targets);
      CHECK(a.loss == Approx(b.loss).epsilon(allowed));
      CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(allowed));
    }
    const double apart = distance(got, alone, start);
    CHECK(apart < allowed);
  }
}

/// Runs the test once for each.
OptimizerKind any_rule() {
  return GENERATE(OptimizerKind::lomo, OptimizerKind::adalomo, OptimizerKind::sgd,
                  OptimizerKind::adamw);
}

}  // namespace

TEST_CASE("any number of ranks trains like one") {
  const auto kind = any_rule();
  for (const bool tied : {false, true}) {
    check_ranks(run_of(kind, tied, DType::f32), {2, 3, 8});
    check_ranks(run_of(kind, tied, DType::bf16), {2, 4});
  }
}

TEST_CASE("a model with all that LLaMA has not trains on any number of ranks like on one") {
  const auto kind = any_rule();
  for (const bool tied : {false, true}) {
    RankedRun run = run_of(kind, tied, DType::f32);
    run.shape = unlike_llama(tied);
    run.config.optimizer.lr /= 5;  // its logits are steeper
    check_ranks(run, {2, 3});
  }
}

TEST_CASE("the same number of ranks gives the same bits") {
  RankedRun run = run_of(any_rule(), true, DType::bf16);
  run.dtype = DType::bf16;
  run.config.optimizer.rounding = Rounding::stochastic;
  const int ranks = GENERATE(3, 8);
  const RankedResult once = train_on(ranks, run), again = train_on(ranks, run);
  CHECK(once.weights == again.weights);
  for (std::size_t i = 0; i < once.reports.size(); ++i) {
    CHECK(once.reports[i].loss == again.reports[i].loss);
    CHECK(once.reports[i].rounding.has_value() == (i == 0));  // every 10 steps by default
    CHECK(once.reports[i].grad_norm == again.reports[i].grad_norm);
  }
}

TEST_CASE("ranks score like one, and all know all scores") {
  const auto sequences = random_sequences({9, 4, 13, 1, 8, 8, 2, 17, 5, 30}, 2, 101, 3);
  const auto scores_on = [&](int ranks) {
    std::vector<std::vector<SequenceScore>> scores(static_cast<std::size_t>(ranks));
    on_ranks(ranks, [&](Backend& backend, Communicator& communicator, int rank) {
      Decoder model(backend, tiny_config(true), DType::f32, {}, communicator);
      fill_weights(model, 1);
      scores[static_cast<std::size_t>(rank)] =
          score_sequences(model, std::vector<SequenceView>(sequences.begin(), sequences.end()), 40);
    });
    return scores;
  };
  const auto alone = scores_on(1).front();
  for (const int ranks : {2, 3, 8}) {
    for (auto const& scores : scores_on(ranks)) {
      REQUIRE(scores.size() == alone.size());
      for (std::size_t s = 0; s < scores.size(); ++s) {
        CHECK(scores[s].targets == alone[s].targets);
        const double allowed = 4 * std::sqrt(20.0 * 101.0) * 0x1p-24;  // as in `bound`
        CHECK(scores[s].loss == Approx(alone[s].loss).epsilon(allowed));
      }
    }
  }
}

TEST_CASE("ranks take part that have no row of a matrix") {
  check_ranks(run_of(any_rule(), false, DType::f32), {24});           // 20 rows of k and v
  check_ranks(run_of(OptimizerKind::lomo, false, DType::f32), {41});  // 40 of q and of down
}

TEST_CASE("value clipping, the head by blocks and chunks, and kept activations agree on ranks") {
  RankedRun run = run_of(any_rule(), true, DType::f32);
  run.config.clip.value = 0.02;
  check_ranks(run, {3});
  run.config.clip.value = 0;
  run.config.memory.tile_bytes = 600;  // tiles of a few rows
  run.head = {.block_rows = 16, .keep_logits_bytes = 0, .chunk_rows = 4};
  check_ranks(run, {2, 3, 8});
  run.shape.tied_embeddings = false;
  run.config.train.recompute = Recompute::none;
  check_ranks(run, {2, 5});
}

TEST_CASE("factors kept on ranks, and blocks recomputed together, change no bit") {
  RankedRun run = run_of(OptimizerKind::lomo, GENERATE(false, true), DType::bf16);
  run.config.clip.kept_blocks = 0;
  run.config.train.recompute = Recompute::none;
  const RankedResult twice = train_on(3, run);
  for (const std::int64_t kept : {0, 1, 2, 3}) {
    for (const std::int64_t blocks : {0, 1, 2, 3}) {
      INFO("factors of " << kept << " blocks, every " << blocks);
      run.config.clip.kept_blocks = kept;
      run.config.train.recompute = {blocks};
      const RankedResult once = train_on(3, run);
      CHECK(once.weights == twice.weights);
      CHECK(once.reports.back().grad_norm == twice.reports.back().grad_norm);
    }
  }
}

TEST_CASE(
    "an fp16 run on ranks applies gradients that an fp16 communication dtype could not carry") {
  RankedRun run = run_of(any_rule(), GENERATE(false, true), GENERATE(DType::bf16, DType::f32));
  run.dtype = DType::f16;
  run.config.loss_scale.initial = 16384;
  run.batches.resize(1);
  run.before = [](Decoder& model) {  // large inputs of the MLP, so large gradients of its matrices
    Tensor const norm = model.weights().blocks[1].norm2.weight.stacked();
    fill(model.backend(), norm, std::vector<float>(40, 90.0f));
    for (auto const& p : model.weights().blocks[1].gate_up.weight.members()) {
      auto numbers = values(model.backend(), p.value);
      for (double& x : numbers) x /= 90;
      fill(model.backend(), p.value, numbers);
    }
  };
  double largest = 0;
  on_ranks(1, [&](Backend& backend, Communicator&, int) {
    Decoder model(backend, run.shape, run.dtype);
    fill_weights(model, 1);
    run.before(model);
    const ShardedBatch batch = shard_batch(run.batches.front(), {});
    const float scale = 16384.0f / static_cast<float>(batch.targets());
    for (auto const& [name, gradient] : gradients_of(model, batch, Recompute::block, scale)) {
      for (const float g : gradient) largest = std::max(largest, std::abs(static_cast<double>(g)));
    }
  });
  REQUIRE(std::isfinite(largest));
  REQUIRE(largest > 65504);
  const RankedResult alone = train_on(1, run);
  REQUIRE(alone.reports.front().outcome == StepOutcome::applied);
  for (const int ranks : {2, 3, 8}) {
    INFO(to_string(run.config.optimizer.kind) << " ranks " << ranks);
    const RankedResult got = train_on(ranks, run);
    CHECK(got.reports.front().outcome == StepOutcome::applied);
    // A few dozen fp16 roundings lie on the way of each gradient.
    CHECK(got.reports.front().grad_norm ==
          Approx(alone.reports.front().grad_norm).epsilon(30 * 0x1p-11));
  }
}

TEST_CASE("an overflow on one rank is one on all, and changes nothing") {
  RankedRun run = run_of(any_rule(), GENERATE(false, true), DType::bf16);
  run.dtype = DType::f16;
  run.config.loss_scale.initial = 0x1p30;
  run.batches.resize(1);
  const RankedResult got = train_on(3, run);
  CHECK(got.reports.front().outcome == StepOutcome::overflow);
  CHECK(got.weights == start_of(run).weights);
}

TEST_CASE("a batch without targets is skipped by all ranks, and the next one is not") {
  RankedRun run = run_of(any_rule(), false, DType::f32);
  for (Sequence& sequence : run.batches.front()) {
    sequence.targets.assign(sequence.targets.size(), kNoTarget);
  }
  const RankedResult got = train_on(4, run);
  CHECK(got.reports[0].outcome == StepOutcome::no_targets);
  CHECK(got.reports[1].outcome == StepOutcome::applied);
  run.batches.erase(run.batches.begin());
  CHECK(train_on(4, run).weights == got.weights);
}

// As in the test of one rank: the gradient of the last rows of one matrix overflows, and only the
// last rank owns them.
TEST_CASE("without a gradient check all ranks stop at the tile that one of them finds bad") {
  RankedRun run = run_of(OptimizerKind::lomo, false, DType::f32);
  run.config.clip.norm = 0;
  run.config.gradient_check = GradientCheck::tile;
  run.batches = {random_sequences({9, 4, 13}, 2, 101, 3)};
  constexpr std::int64_t kColumn = 7, kFirstLarge = 30, kRows = 56, kCols = 40;
  run.before = [](Decoder& model) {
    BlockWeights& block = model.weights().blocks[1];
    auto norm = values(model.backend(), block.norm2.weight.stacked());
    norm[kColumn] = 1e37;
    fill(model.backend(), block.norm2.weight.stacked(), norm);
    for (std::size_t m = 0; m < 2; ++m) {  // gate, up
      Parameter const& p = block.gate_up.weight.members()[m];
      auto rows = values(model.backend(), p.value);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::int64_t row = p.owned.first + static_cast<std::int64_t>(i) / kCols;
        const double boost = row < kFirstLarge ? 1 : m == 0 ? 1e6 : 1e-6;
        rows[i] *= static_cast<std::int64_t>(i) % kCols == kColumn ? 0 : boost;
      }
      fill(model.backend(), p.value, rows);
    }
  };
  // Rank 0 owns rows 0 to 27, rank 1 the rest; tiles are of 25 rows.
  static_assert(kFirstLarge > kRows / 2);
  const RankedResult got = train_on(2, run), start = start_of(run);
  StepReport const& report = got.reports.front();
  CHECK(report.outcome == StepOutcome::nonfinite);
  REQUIRE(report.partial);
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  CHECK(report.partial->stopped_in == up);
  auto const& updated = report.partial->updated;
  for (auto const& [name, rows] : got.weights) {
    INFO(name);
    const bool was = std::find(updated.begin(), updated.end(), name) != updated.end();
    CHECK((rows != start.weights.at(name)) == was);  // of `up` not even rank 0's finite tile
  }
}

}  // namespace lomo::test
