// The last block on the rows that carry loss alone: what it saves, and who notices.
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;
using namespace lomo::test;

namespace {

double flops_of(Backend const& backend, char const* op) {
  return backend.ledger().ops().at(op).cost.flops;
}

}  // namespace

TEST_CASE("only rows with a target cost queries, output projection and MLP in the last block") {
  auto backend = make_cpu(2);
  const ModelConfig c = tiny_config(false);
  Decoder model(*backend, c, DType::f32);
  fill_weights(model, 1);
  const std::size_t prompt = GENERATE(0u, 4u, 12u, 100u);
  const Batch batch = make_batch(random_sequences({17, 1, 5, 30, 2}, prompt, c.vocab, 11));

  backend->ledger().restart();
  Pass pass = model.forward(batch, Recompute::none);
  const auto n = static_cast<double>(batch.rows());              // N
  const auto targets = static_cast<double>(batch.loss_count());  // N'
  const bool all = 8 * targets >= 7 * n;
  CHECK(pass.last_on_loss_rows == !all);
  const double m = all ? n : targets;  // rows that leave the last block
  const auto d = [](std::int64_t v) { return static_cast<double>(v); };
  const double hd = d(c.heads * c.head_width), gd = d(c.kv_heads * c.head_width);
  const double width = d(c.width), ffn = d(c.ffn), lower = n * d(c.layers - 1);
  const double key_value = 2 * (lower + n) * width * 2 * gd;
  const double rest = 2 * (lower + m) * (2 * width * hd + 3 * width * ffn);
  const double residuals = 2 * (lower + m) * width;
  const double head = 2 * targets * width * d(c.vocab);
  CHECK(flops_of(*backend, "linear") == key_value + rest + residuals + head);

  backend->ledger().restart();
  KeepGradients sink({*backend, TileSize{}}, model.weights().groups());
  model.backward(pass, sink, 1, /*keep=*/false);
  const double added = all ? 0 : m * width;  // the queries' part of d norm1
  CHECK(flops_of(*backend, "linear_backward_input") == key_value + rest + head + added);
  CHECK(flops_of(*backend, "linear_backward_weight") == key_value + rest + head);
}

TEST_CASE("losses of the same rows agree whether the others reach the end or not") {
  const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16);
  // One product against another: the few dozen roundings of the last block and the head.
  const double bound =
      4 * std::sqrt(dtype == DType::f32 ? 20.0 * 56.0 : 20.0) * unit_roundoff(dtype);
  auto backend = make_cpu(2);
  Decoder model(*backend, tiny_config(true), dtype);
  fill_weights(model, 1);
  const std::vector<int> lengths{17, 1, 5, 30, 2};
  const Batch some = make_batch(random_sequences(lengths, 12, 101, 11));
  const Batch every = make_batch(random_sequences(lengths, 0, 101, 11));
  const std::vector<float> of_some = model.losses(some);
  const std::vector<float> of_every = model.losses(every);
  REQUIRE(of_some.size() == 23);
  std::vector<float> same_rows;
  for (const std::int32_t row : some.loss_rows) {
    same_rows.push_back(of_every[static_cast<std::size_t>(row)]);
  }
  CHECK(relative_distance(of_some, same_rows) < bound);
}

TEST_CASE("a last block on loss rows keeps less") {
  auto backend = make_cpu(1);
  const ModelConfig c = tiny_config(true);
  Decoder model(*backend, c, DType::f32);
  const auto held = [&](std::size_t prompt) {
    const std::size_t before = backend->ledger().current();
    const Batch batch = make_batch(random_sequences({64, 64}, prompt, c.vocab, 3));
    const Pass pass = model.forward(batch, Recompute::none);
    return backend->ledger().current() - before;
  };
  fill_weights(model, 1);
  // 128 rows less 16: query, attended, lse, mid, norm2, its rstd, gate, up, act of the last block.
  const auto saved = static_cast<std::size_t>(112 * (2 * 40 + 4 + 2 * 40 + 1 + 3 * 56)) * 4;
  CHECK(held(0) > held(56) + saved);
}
