// The table of what each part of the method saves, and the bound that is the method's promise:
// weights, kept activations, one gradient tile, named workspace, and nothing else.
#include "lomo/plan/ablation.h"

#include <algorithm>
#include <memory>
#include <string>

#include "lomo/cpu/workspace.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;

namespace {

constexpr int kThreads = 2;

std::unique_ptr<Backend> dry() {
  return make_dry_backend({.threads = kThreads});
}

TrainConfig config_of(DType dtype, std::size_t tile) {
  TrainConfig c;
  c.model.dtype = dtype;
  c.optimizer.lr = 1e-3;
  c.optimizer.rounding = Rounding::nearest;
  c.clip.norm = 1;
  c.memory.tile_bytes = tile;
  return c;
}

ModelConfig llama_7b() {
  ModelConfig c;
  c.width = 4096;
  c.layers = 32;
  c.heads = c.kv_heads = 32;
  c.head_width = 128;
  c.ffn = 11008;
  c.vocab = 32000;
  c.context = 2048;
  return c;
}

std::size_t bytes(std::int64_t numel, DType dtype) {
  const std::size_t exact = static_cast<std::size_t>(numel) * size_of(dtype);
  return (exact + Slab::kAlignment - 1) / Slab::kAlignment * Slab::kAlignment;
}

std::size_t weight_bytes(ModelConfig const& c, DType dtype) {
  std::size_t sum = 0;
  for (WeightShape const& w : weight_shapes(c)) {
    std::int64_t numel = 1;
    for (const std::int64_t extent : w.shape) numel *= extent;
    sum += bytes(numel, dtype);
  }
  return sum;
}

/// The input of every block; one block's inside, all that its forward and its backward ever make;
/// the head's input, norm and figures of a row; the gradient's rows of the embedding; ids.
std::size_t kept_activations(ModelConfig const& c, BatchCounts const& b, DType dtype) {
  const std::int64_t n = b.tokens, qkv = (c.heads + 2 * c.kv_heads) * c.head_width;
  const std::int64_t attended = c.heads * c.head_width;
  const auto wide = [&](std::int64_t columns) { return bytes(n * columns, dtype); };
  const std::size_t inputs = static_cast<std::size_t>(c.layers) * wide(c.width);
  const std::size_t inside = 8 * wide(c.width)  // norms, mid, out, and their gradients
                             + 2 * wide(qkv) + 2 * wide(attended) + wide(2 * c.ffn) +
                             2 * wide(c.ffn)  // gate and up share theirs
                             + bytes(n * (c.heads + 2), DType::f32) +
                             2 * bytes(c.width, DType::f32);
  const std::size_t head = 4 * bytes(b.targets * c.width, dtype) +
                           bytes(b.targets * c.width, DType::f32) +
                           bytes(b.targets * 6, DType::f32);
  const std::size_t rows = bytes(b.ids * c.width, DType::f32);
  return inputs + std::max({inside, head, rows + wide(c.width)});
}

/// Blocks of logits and of their gradient, ids and figures that live long, and the scratch of the
/// operation that takes the most of it.
std::size_t named_workspace(TrainConfig const& config, ModelConfig const& c, BatchCounts const& b) {
  const DType dtype = *config.model.dtype;
  const std::int64_t block = std::min(config.memory.head_block_rows, c.vocab);
  const std::size_t logits = bytes(b.targets * block, DType::f32) +
                             (dtype == DType::f32 ? 0 : bytes(b.targets * block, dtype));
  const std::size_t ids =
      bytes(8 * b.tokens + 2 * b.sequences + 8, DType::f32) + 12 * Slab::kAlignment;
  const auto tensor = [](std::int64_t rows, std::int64_t columns, DType type) {
    return Tensor(nullptr, Shape(rows, columns), type, Device::dry);
  };
  const CpuWorkspaces of(kThreads);
  std::size_t scratch = of.attention_backward(tensor(b.tokens, c.heads * c.head_width, dtype),
                                              {c.heads, c.kv_heads, c.head_width, 1});
  const std::int64_t qkv = (c.heads + 2 * c.kv_heads) * c.head_width;
  struct Layer {
    std::int64_t rows, out, in;
  };
  for (auto const& [rows, out, in] :
       {Layer{b.tokens, qkv, c.width}, Layer{b.tokens, c.width, c.heads * c.head_width},
        Layer{b.tokens, 2 * c.ffn, c.width}, Layer{b.tokens, c.width, c.ffn},
        Layer{b.targets, block, c.width}}) {
    const Tensor x = tensor(rows, in, dtype), y = tensor(rows, out, dtype);
    const std::int64_t t = TileSize{config.memory.tile_bytes}.rows_for(Shape(out, in));
    const Tensor g = tensor(t, in, DType::f32), dw(nullptr, Shape(in), DType::f32, Device::dry);
    // A tile's dy is a column block of a wider matrix.
    const Tensor dy(nullptr, Shape(rows, t), out + 1, dtype, Device::dry);
    scratch = std::max({scratch, of.linear(y, x), of.linear_backward_input(x, y),
                        of.linear_backward_weight(g, dy, x), of.rmsnorm_backward(x, dw),
                        of.accumulate_squared_norm(g)});
  }
  const std::size_t figures = bytes(c.head_width / 2, DType::f32) + 4 * Slab::kAlignment;
  return logits + ids + figures + bytes(static_cast<std::int64_t>(scratch), DType::f16);
}

AblationRow row_of(std::vector<AblationRow> const& rows, std::string const& method,
                   Recompute recompute, bool logits) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](AblationRow const& row) {
    return row.what.method == method && row.what.run.train.recompute == recompute &&
           (row.what.run.memory.keep_logits_bytes > 0) == logits && !row.what.keeps_factors;
  });
  REQUIRE(found != rows.end());
  return *found;
}

std::vector<AblationRow> planned(TrainConfig const& config, ModelConfig const& shape,
                                 Batch const& batch) {
  std::vector<AblationRow> rows;
  for (AblationCase const& what : ablation_cases(config, shape)) {
    rows.push_back(plan_case(what, shape, batch, dry));
  }
  return rows;
}

}  // namespace

TEST_CASE("LOMO's peak is weights, kept activations, one tile and named workspace") {
  const auto check = [](TrainConfig const& config, ModelConfig const& shape, Batch const& batch,
                        std::size_t peak, std::size_t gradients) {
    const DType dtype = *config.model.dtype;
    const std::size_t tile = config.memory.tile_bytes;
    CHECK(gradients <= tile);
    CHECK(gradients > 0);
    const std::size_t bound = weight_bytes(shape, dtype) +
                              kept_activations(shape, counts_of(batch), dtype) + tile +
                              named_workspace(config, shape, counts_of(batch));
    INFO(peak << " of " << bound);
    CHECK(peak <= bound);
    return bound;
  };
  SECTION("LLaMA-7B, planned") {
    const TrainConfig config = config_of(DType::bf16, std::size_t{8} << 20);
    const Batch batch = batch_with({.tokens = 4096, .targets = 4096, .sequences = 8, .ids = 4096});
    const auto row =
        row_of(planned(config, llama_7b(), batch), "LOMO, by tile", Recompute::block, false);
    const std::size_t bound = check(config, llama_7b(), batch, row.peak, row.gradients);
    CHECK(row.peak > bound * 9 / 10);  // or the bound says nothing
  }
  SECTION("a tiny model, measured") {
    const DType dtype = GENERATE(DType::f32, DType::bf16);
    TrainConfig config = config_of(dtype, 4096);
    config.memory.head_block_rows = 32;
    ModelConfig shape = test::tiny_config(false);
    shape.layers = 12;
    const Batch batch = make_batch(test::random_sequences({900, 700, 448}, 2, 101, 3));
    for (AblationCase const& what : ablation_cases(config, shape)) {
      if (what.method != "LOMO, by tile" || what.keeps_factors ||
          what.run.train.recompute != Recompute::block || what.run.memory.keep_logits_bytes > 0) {
        continue;
      }
      AblationRow row = plan_case(what, shape, batch, dry);
      const std::size_t slab = row.slab;
      row = measure_case(row, shape, batch, make_cpu_backend({.threads = kThreads, .memory = slab}),
                         1);
      check(what.run, shape, batch, row.peak, row.gradients);
    }
  }
}

TEST_CASE("an ablation measures to the byte what it plans") {
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  const bool tied = GENERATE(false, true);
  const ModelConfig shape = test::tiny_config(tied);
  const Batch batch = make_batch(test::random_sequences({40, 9, 33}, 2, 101, 3));
  for (AblationCase const& what : ablation_cases(config_of(dtype, 4096), shape)) {
    INFO(what.method << ", recompute " << what.run.train.recompute->blocks << ", logits "
                     << what.run.memory.keep_logits_bytes);
    const AblationRow plan = plan_case(what, shape, batch, dry);
    // The engine has no more: a case that took it would fail.
    const AblationRow real = measure_case(
        plan, shape, batch, make_cpu_backend({.threads = kThreads, .memory = plan.slab}), 1);
    CHECK(real.peak == plan.peak);
    CHECK(real.at_peak == plan.at_peak);
    CHECK(real.gradients == plan.gradients);
    CHECK(real.flops == plan.flops);
    CHECK(real.tokens_per_second > 0);
  }
}

TEST_CASE("each method holds the gradients and the state that are its own") {
  const ModelConfig shape = llama_7b();
  const Batch batch = batch_with({.tokens = 2048, .targets = 2048, .sequences = 4, .ids = 2048});
  const auto rows = planned(config_of(DType::bf16, std::size_t{8} << 20), shape, batch);
  const auto row = [&](char const* method) {
    return row_of(rows, method, Recompute::block, false);
  };
  const auto state = [](AblationRow const& r) {
    return r.at_peak[static_cast<std::size_t>(Category::optimizer)];
  };
  const std::size_t all = weight_bytes(shape, DType::f32);
  const std::size_t largest = bytes(shape.vocab * shape.width, DType::f32);
  CHECK(row("AdamW").gradients == all);
  CHECK(state(row("AdamW")) == 2 * all);
  CHECK(row("SGD").gradients == all);
  CHECK(state(row("SGD")) == 0);
  CHECK(row("AdaLomo").gradients == largest);  // one tensor resident
  CHECK(state(row("AdaLomo")) < all / 1000);
  CHECK(row("LOMO, by tensor").gradients == largest);
  CHECK(state(row("LOMO, by tensor")) == 0);
  CHECK(row("LOMO, by tile").gradients <= std::size_t{8} << 20);
  // The way down from the top left corner of the table, each part alone.
  const AblationRow inference = rows.front();
  CHECK(inference.what.method == "inference");
  const std::size_t way[] = {
      row_of(rows, "AdamW", Recompute::none, true).peak,
      row_of(rows, "SGD", Recompute::none, true).peak,
      row_of(rows, "LOMO, by tensor", Recompute::none, true).peak,
      row_of(rows, "LOMO, by tile", Recompute::none, true).peak,
      row_of(rows, "LOMO, by tile", Recompute::block, true).peak,
      row_of(rows, "LOMO, by tile", Recompute::block, false).peak,
      inference.peak,
  };
  for (std::size_t i = 1; i < std::size(way); ++i) {
    INFO(i);
    CHECK(way[i] < way[i - 1]);
  }
  CHECK(rows.back().what.keeps_factors);
  CHECK(rows.back().flops < row("LOMO, by tile").flops);
}
