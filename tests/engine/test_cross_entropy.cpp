// Cross-entropy over vocabulary blocks on the engine against the double reference.
#include <limits>

#include "reference/ops.h"
#include "support/catch.h"
#include "support/close.h"
#include "support/tensors.h"

using namespace lomo;
using namespace lomo::test;
namespace ref = lomo::reference;

namespace {

struct Results {
  std::vector<double> loss, lse, dz;
};

/// Walks z (N',V) in blocks, dz in the type asked for, or over z itself.
Results run(Backend& be, std::vector<float> const& z, std::vector<std::int32_t> const& targets,
            std::int64_t vocab, std::int64_t block, DType type, float scale, bool in_place) {
  const auto n = static_cast<std::int64_t>(targets.size());
  const Buffer bz = make(be, {n, vocab}, DType::f32, z), bt = make_index(be, targets);
  const Buffer running = make_poisoned(be, {n, 3}, DType::f32);
  const Buffer loss = make_poisoned(be, n, DType::f32), lse = make_poisoned(be, n, DType::f32);
  const Buffer dz = make_poisoned(be, {n, vocab}, type);
  be.cross_entropy_begin(running);
  for (std::int64_t first = 0; first < vocab; first += block) {
    const std::int64_t count = std::min(block, vocab - first);
    be.cross_entropy_block(running, bz.tensor().col_block(first, count), bt, first);
  }
  be.cross_entropy_end(loss, lse, running);
  for (std::int64_t first = 0; first < vocab; first += block) {
    const std::int64_t count = std::min(block, vocab - first);
    const Tensor zb = bz.tensor().col_block(first, count);
    be.cross_entropy_backward(in_place ? zb : dz.tensor().col_block(first, count), zb, lse, bt,
                              first, scale);
  }
  return {values(be, loss), values(be, lse), values(be, in_place ? bz.tensor() : dz.tensor())};
}

}  // namespace

TEST_CASE("cross-entropy and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(0, 1, 7), vocab = GENERATE(1, 37, 1003);
  const std::int64_t block = GENERATE(1, 16, 100, 2000);
  const float size = GENERATE(1.0f, 60.0f), scale = 0.125f;
  const auto z = random_values("z", n * vocab, size);
  std::vector<std::int32_t> targets;
  for (std::int64_t i = 0; i < n; ++i) {
    targets.push_back(static_cast<std::int32_t>(i * 577 % vocab));
  }
  const auto be = make_cpu_backend({.threads = 2, .memory = 16u << 20});
  const Results got = run(*be, z, targets, vocab, block, type, scale, false);
  const auto expected = ref::cross_entropy(doubles(z), targets, vocab, block);
  const auto dz = ref::cross_entropy_backward(doubles(z), expected.lse, targets, vocab,
                                              static_cast<double>(scale));
  // z - max and its rounding, exp, a sum of V positive terms, rescaled once a block.
  const double blocks = static_cast<double>((vocab + block - 1) / block);
  const double arg = 2 * size * 0x1p-24, kExp = 1.5e-7;
  const double lse = arg + kExp + gamma_f32(vocab + 4) + blocks * (arg + kExp + gamma_f32(2));
  check_close("lse", got.lse, expected.lse, lse, gamma_f32(3));
  check_close("loss", got.loss, expected.loss, lse + 2 * size * gamma_f32(3), gamma_f32(3));
  const double p = lse + (size + std::log(static_cast<double>(vocab)) + size) * gamma_f32(4) + kExp;
  check_close("dz", got.dz, dz, static_cast<double>(scale) * (p + gamma_f32(3)),
              unit_roundoff(type));
  if (type == DType::f32) {
    CHECK(run(*be, z, targets, vocab, block, type, scale, true).dz == got.dz);
  }
  const auto one = make_cpu_backend({.threads = 1, .memory = 16u << 20});
  const Results alone = run(*one, z, targets, vocab, block, type, scale, false);
  CHECK(alone.loss == got.loss);
  CHECK(alone.dz == got.dz);
}

TEST_CASE("cross-entropy with logits of minus infinity and NaN") {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> z(3 * 40, -inf);
  for (std::size_t j = 30; j < 40; ++j) z[j] = 1;  // a first block without a finite logit
  for (std::size_t j = 40; j < 80; ++j) z[j] = 0;
  z[45] = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t j = 80; j < 120; ++j) z[j] = 2;
  const auto be = make_cpu_backend({.threads = 2, .memory = 16u << 20});
  const Results got = run(*be, z, {35, 0, 3}, 40, 10, DType::f32, 1, false);
  CHECK(got.loss[0] == Approx(std::log(10.0)).epsilon(1e-6));
  CHECK(std::isnan(got.loss[1]));
  CHECK(got.loss[2] == Approx(std::log(40.0)).epsilon(1e-6));
}
