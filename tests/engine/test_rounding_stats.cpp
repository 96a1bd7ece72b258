// What updates tell about their rounding (RoundingPlan::rounding_stats).
#include <algorithm>
#include <vector>

#include "engines.h"

using namespace lomo;
using namespace lomo::test;

namespace {

struct Case {
  std::int64_t rows = 37, cols = 515;
  Backend::SgdStep step{1e-3f, 0, {}};
  std::vector<float> w = random_values("w", rows* cols);
  std::vector<float> g = random_values("g", rows* cols);

  struct Result {
    std::vector<double> before, after, rounding_stats;
    std::vector<std::byte> bits;
  };
  Result run(Backend& be, DType type, Rounding mode, bool with_rounding_stats) const {
    const Buffer weights = make(be, Shape(rows, cols), type, w);
    const Buffer rounding_stats = make(be, Shape(4), DType::f64, std::vector<double>{1, 2, 3, 4});
    RoundingPlan plan{mode, random_key(1, "round", "w", 9), 3 * cols + 1};
    if (with_rounding_stats) plan.rounding_stats = rounding_stats;
    Result result;
    result.before = values(be, weights);
    be.sgd_update(weights, make(be, Shape(rows, cols), DType::f32, g), step, plan);
    result.after = values(be, weights);
    result.rounding_stats = values(be, rounding_stats);
    result.bits = bits(be, weights);
    return result;
  }
};

}  // namespace

TEST_CASE("an update tells how much of it survived its rounding and changes no bit by it") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const Rounding mode = GENERATE(Rounding::nearest, Rounding::stochastic);
  const Case c;
  const auto one = engine(1), two = engine(2);
  const auto got = c.run(*two, type, mode, true);
  CHECK(got.bits == c.run(*two, type, mode, false).bits);
  CHECK(got.rounding_stats == c.run(*one, type, mode, true).rounding_stats);

  std::vector<double> wanted = {1, 2, 3, 4};  // what was there is added to
  double size = 0;
  for (std::size_t i = 0; i < c.g.size(); ++i) {
    const auto old = static_cast<float>(got.before[i]);
    const double intended = old - c.step.lr * c.g[i] - old;  // f32: what f32 storage would do
    const double applied = got.after[i] - got.before[i];
    wanted[0] += intended != 0 ? 1 : 0;
    wanted[1] += applied != 0 ? 1 : 0;
    wanted[2] += applied * intended;
    wanted[3] += intended * intended;
    size += std::abs(applied * intended) + intended * intended;
  }
  CHECK(got.rounding_stats[0] == wanted[0]);
  CHECK(got.rounding_stats[1] == wanted[1]);
  const double off = static_cast<double>(c.g.size()) * 0x1p-53 * (size + 8);
  CHECK(std::abs(got.rounding_stats[2] - wanted[2]) <= off);
  CHECK(std::abs(got.rounding_stats[3] - wanted[3]) <= off);
  if (type == DType::f32) {
    CHECK(got.rounding_stats[1] - 2 == got.rounding_stats[0] - 1);
    CHECK(got.rounding_stats[2] - 3 == Approx(got.rounding_stats[3] - 4).epsilon(1e-12));
  }
}

TEST_CASE("nearest rounding loses a small step whole, stochastic realises it on average") {
  const DType type = GENERATE(DType::bf16, DType::f16);
  const double quantum = 2 * unit_roundoff(type);  // of numbers from 1 to 2
  Case c;
  for (float& w : c.w) w = 1.5f;
  for (float& g : c.g) g = std::copysign(1.0f, g);
  c.step.lr = static_cast<float>(quantum / 16);
  const auto be = engine();
  const auto nearest = c.run(*be, type, Rounding::nearest, true);
  CHECK(nearest.rounding_stats[1] - 2 == 0);
  CHECK(nearest.rounding_stats[2] - 3 == 0);

  const auto stochastic = c.run(*be, type, Rounding::stochastic, true);
  const auto n = static_cast<double>(c.g.size());
  const double f = 1 / 16.0;  // each element moves by a quantum with this probability
  // Five standard deviations of a sum of n Bernoulli trials, as a share of its mean.
  const double bound = 5 * std::sqrt((1 - f) / (f * n));
  CHECK(std::abs((stochastic.rounding_stats[1] - 2) / n / f - 1) <= bound);
  CHECK(std::abs((stochastic.rounding_stats[2] - 3) / (stochastic.rounding_stats[3] - 4) - 1) <=
        bound);
}

TEST_CASE("adamw and adalomo tell it too") {
  const auto be = engine();
  const std::int64_t n = 600;
  const Buffer g = make(*be, Shape(2, n / 2), DType::f32, random_values("g", n));
  const auto vector = [&](std::int64_t k, float x) {
    return make(*be, Shape(k), DType::f32, std::vector<float>(static_cast<std::size_t>(k), x));
  };
  const auto matrix = [&](DType type) {
    return make(*be, Shape(2, n / 2), type, random_values("w", n));
  };
  const Buffer rounding_stats = make(*be, Shape(4), DType::f64, std::vector<double>(4, 0.0));
  RoundingPlan plan;
  plan.rounding_stats = rounding_stats;
  const auto check = [&] {
    const auto t = values(*be, rounding_stats);
    CHECK(t[0] > n / 2);
    CHECK(t[1] > 0);
    CHECK(t[1] <= t[0]);
    CHECK(t[2] == Approx(t[3]).epsilon(0.1));  // a large step: rounding takes little of it
    be->zero(rounding_stats);
  };
  Backend::AdamStep adam;
  adam.lr = 0.1f;
  const Buffer m = make(*be, Shape(2, n / 2), DType::f32, std::vector<float>(n, 0.0f));
  const Buffer v = make(*be, Shape(2, n / 2), DType::f32, std::vector<float>(n, 0.0f));
  be->adamw_update(matrix(DType::bf16), m, v, g, adam, plan);
  check();
  Backend::AdaLomoStep ada;
  ada.lr = 0.5f;
  const Buffer total = make(*be, Shape(1), DType::f64, std::vector<double>{2});
  const Buffer sums = make(*be, Shape(2), DType::f64, std::vector<double>{n, n / 3.0});
  be->adalomo_update(matrix(DType::bf16), g, vector(2, 1), vector(n / 2, 1), sums, {total, 2, n},
                     ada, plan);
  check();
}
