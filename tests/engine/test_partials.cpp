// partial sums of ranks, brought together.
#include <cmath>
#include <limits>

#include "engines.h"
#include "reference/ops.h"
#include "support/close.h"

using namespace lomo;
using namespace lomo::test;
namespace ref = lomo::reference;

TEST_CASE("sum_partials adds the partial sums in rank order") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t ranks = GENERATE(1, 2, 8), rows = GENERATE(0, 1, 5);
  const std::int64_t cols = GENERATE(1, 19, 4100);
  const auto be = engine();
  const auto partials = rounded(random_values("parts", ranks * rows * cols), type);
  std::vector<float> wanted(static_cast<std::size_t>(rows * cols), 0.0f);
  for (std::size_t i = 0; i < partials.size(); ++i) wanted[i % wanted.size()] += partials[i];
  const Buffer out = make_poisoned(*be, Shape(rows, cols), DType::f32);
  be->sum_partials(out, make(*be, Shape(ranks * rows, cols), type, partials));
  CHECK(raw_values<float>(*be, out) == wanted);
}

TEST_CASE("sum_partials of f64 sums loses nothing of them") {
  const auto be = engine();
  const std::vector<double> partials = {1, 0x1p-40, 0x1p-50, 3, -2, 5};
  const Buffer out = make_poisoned(*be, Shape(1, 2), DType::f64);
  be->sum_partials(out, make(*be, Shape(3, 2), DType::f64, partials));
  CHECK(raw_values<double>(*be, out) == std::vector<double>{1 + 0x1p-50 - 2, 0x1p-40 + 3 + 5});
}

TEST_CASE("a softmax merged from ranks is that of the whole vocabulary") {
  const std::int64_t n = GENERATE(0, 1, 7), vocab = GENERATE(2, 37, 1003);
  const std::int64_t ranks = GENERATE(1, 3, 4);
  const float size = GENERATE(1.0f, 60.0f);
  const auto be = engine();
  const auto z = random_values("z", n * vocab, size);
  std::vector<std::int32_t> targets;
  for (std::int64_t i = 0; i < n; ++i) {
    targets.push_back(static_cast<std::int32_t>(i * 577 % vocab));
  }
  const Buffer logits = make(*be, {n, vocab}, DType::f32, z), wanted = make_index(*be, targets);
  const Buffer partials = make_poisoned(*be, {ranks * n, 3}, DType::f32);
  const std::int64_t share = (vocab + ranks - 1) / ranks;  // of 2 rows on 3 ranks one has none
  for (std::int64_t q = 0; q < ranks; ++q) {
    const std::int64_t first = std::min(q * share, vocab), rows = std::min(share, vocab - first);
    const Tensor part = partials.tensor().row_block(q * n, n);
    be->cross_entropy_begin(part);
    be->cross_entropy_block(part, logits.tensor().col_block(first, rows), wanted, first);
  }
  const Buffer running = make_poisoned(*be, {n, 3}, DType::f32);
  const Buffer loss = make_poisoned(*be, n, DType::f32);
  const Buffer lse_got = make_poisoned(*be, n, DType::f32);
  be->cross_entropy_merge(running, partials);
  be->cross_entropy_end(loss, lse_got, running);
  const auto expected = ref::cross_entropy(doubles(z), targets, vocab, share);
  // As for blocks of the vocabulary, with one more rescaling a rank.
  const double arg = 2 * static_cast<double>(size) * 0x1p-24, kExp = 1.5e-7;
  const double lse = arg + kExp + gamma_f32(vocab + 4) +
                     2 * static_cast<double>(ranks) * (arg + kExp + gamma_f32(2));
  check_close("lse", values(*be, lse_got), expected.lse, lse, gamma_f32(3));
  check_close("loss", values(*be, loss), expected.loss,
              lse + 2 * static_cast<double>(size) * gamma_f32(3), gamma_f32(3));
}

TEST_CASE("what is not finite on one rank is not lost in the merge") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const auto be = engine();
  const std::vector<float> partials = {1, 2,   0, -inf, 0, 0,   // rank 0: two rows
                                       1, nan, 0, 3,    2, 3};  // rank 1
  const Buffer running = make_poisoned(*be, {2, 3}, DType::f32);
  be->cross_entropy_merge(running, make(*be, {4, 3}, DType::f32, partials));
  const auto got = values(*be, running);
  CHECK(std::isnan(got[1]));
  CHECK(std::vector<double>(got.begin() + 3, got.end()) == std::vector<double>{3, 2, 3});
}
