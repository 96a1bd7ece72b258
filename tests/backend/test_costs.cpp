#include "recording_backend.h"
#include "support/catch.h"

using namespace lomo;
using lomo::test::RecordingBackend;

namespace {

Tensor tensor(Shape shape, DType type = DType::f32) {
  return RecordingBackend::tensor(shape, type);
}

}  // namespace

TEST_CASE("products cost 2 m n k and their operands once") {
  RecordingBackend b;
  b.linear(tensor({7, 3}), tensor({7, 5}, DType::bf16), tensor({3, 5}, DType::bf16));
  auto const& linear = b.ledger().ops().at("linear");
  CHECK(linear.calls == 1);
  CHECK(linear.cost.flops == 2 * 7 * 3 * 5);
  CHECK(linear.cost.bytes == 4 * 7 * 3 + 2 * 7 * 5 + 2 * 3 * 5);
  b.linear(tensor({7, 3}), tensor({7, 5}), tensor({3, 5}), tensor({7, 3}));
  CHECK(linear.calls == 2);
  CHECK(linear.cost.flops == 2 * (2 * 7 * 3 * 5) + 7 * 3);
  b.linear_backward_input(tensor({7, 5}), tensor({7, 3}), tensor({3, 5}));
  b.linear_backward_weight(tensor({3, 5}), tensor({7, 3}), tensor({7, 5}));
  CHECK(b.ledger().ops().at("linear_backward_input").cost.flops == 2 * 7 * 3 * 5);
  CHECK(b.ledger().ops().at("linear_backward_weight").cost.flops == 2 * 7 * 3 * 5);
  CHECK(b.ledger().flops() == 4 * (2 * 7 * 3 * 5) + 7 * 3);
  b.linear_backward_weights(tensor({6, 5}), tensor({7, 43}), tensor({7, 5}), {2, 40});
  auto const& blocks = b.ledger().ops().at("linear_backward_weights");
  CHECK(blocks.cost.flops == 2 * 7 * 6 * 5);
  CHECK(blocks.cost.bytes == 4 * (6 * 5 + 7 * 6 + 7 * 5));  // of dy the blocks alone
}

TEST_CASE("causal attention counts the pairs it looks at") {
  RecordingBackend b;
  const Heads heads{4, 2, 8, 1};
  const auto rows = [](std::int64_t count, std::int64_t sequences, std::int64_t longest) {
    return Sequences{tensor(sequences + 1, DType::i32), tensor(count, DType::i32), longest};
  };
  const auto flops = [&](Sequences const& q, Sequences const& k) {
    const std::int64_t nq = q.positions.rows();
    const std::int64_t nk = k.positions.rows();
    b.ledger().restart();
    b.attention(tensor({nq, 32}), tensor({nq, 4}), tensor({nq, 32}), tensor({nk, 16}),
                tensor({nk, 16}), q, k, heads);
    return b.ledger().ops().at("attention").cost.flops;
  };
  // Three sequences of 5 rows: 15 pairs each; two products of width 8 for 4 heads.
  CHECK(flops(rows(15, 3, 5), rows(15, 3, 5)) == 3 * 15 * 4 * 4 * 8);
  // One new token against 9 keys.
  CHECK(flops(rows(1, 1, 1), rows(9, 1, 9)) == 9 * 4 * 4 * 8);
  // The last 2 rows of 6: 5 + 6 pairs.
  CHECK(flops(rows(2, 1, 2), rows(6, 1, 6)) == 11 * 4 * 4 * 8);
  CHECK(flops(rows(0, 1, 0), rows(6, 1, 6)) == 0);
}

TEST_CASE("elementwise work is proportional to the elements, data movement has none") {
  RecordingBackend b;
  b.sgd_update(tensor({9, 4}, DType::bf16), tensor({2, 4}), {}, {}, {}, tensor(2, DType::i32));
  auto const& sgd = b.ledger().ops().at("sgd_update").cost;
  CHECK(sgd.flops == 7 * 2 * 4);
  CHECK(sgd.bytes == 2 * 4 * (2 + 4) + 2 * 4);  // only the rows that are touched
  b.ledger().restart();
  b.sgd_update(tensor({2, 4}, DType::bf16), tensor({6, 4}, DType::bf16), {},
               {});  // parts of 3 ranks
  auto const& of_ranks = b.ledger().ops().at("sgd_update").cost;
  CHECK(of_ranks.flops == 7 * 2 * 4 + 3 * 2 * 4);
  CHECK(of_ranks.bytes == 2 * 4 * 2 + 2 * 4 * 6);
  b.gather_rows(tensor({3, 4}), tensor({100, 4}), tensor(3, DType::i32));
  auto const& gather = b.ledger().ops().at("gather_rows").cost;
  CHECK(gather.flops == 0);
  CHECK(gather.bytes == 2 * 3 * 4 * 4 + 3 * 4);
}
