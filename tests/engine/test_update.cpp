#include <cmath>
#include <limits>
#include <vector>

#include "engines.h"

using namespace lomo;
using namespace lomo::test;

namespace {

constexpr double kU = 0x1p-24;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// g' of GradientScaling, in double.
double scaled(double g, GradientScaling const& s) {
  double x = s.scale * g;
  if (s.clip_value > 0) x = std::min(std::max(x, -double{s.clip_value}), double{s.clip_value});
  return s.coefficient * x;
}

/// Of sgd's few f32 operations: no more than 6 roundings touch either term, one rounds to storage.
void expect_sgd(std::vector<double> const& got, std::vector<float> const& w,
                std::vector<float> const& g, Backend::SgdStep const& step, DType type) {
  std::vector<double> wanted;
  std::vector<double> bound;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double kept = w[i] * (1 - double{step.lr} * step.weight_decay);
    const double change = step.lr * scaled(g[i], step.gradient);
    const double off = 6 * kU * (std::abs(kept) + std::abs(change));
    const double u = type == DType::f32 ? 0 : unit_roundoff(type);
    wanted.push_back(kept - change);
    bound.push_back(off + u * (std::abs(wanted.back()) + off) + subnormal_roundoff(type));
  }
  check_within(got, wanted, bound);
}

}  // namespace

TEST_CASE("sgd clips by value, then scales by the coefficient, then steps") {
  for (const int threads : {1, 2}) {
    const auto be = engine(threads);
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      for (const Shape shape : {Shape(1, 1), Shape(3, 37), Shape(2, 40000)}) {
        const auto w0 = rounded(random_values("w", shape.numel()), type);
        const auto g = random_values("g", shape.numel(), 4);
        for (const float decay : {0.0f, 0.1f}) {
          for (const float clip : {0.0f, 0.5f}) {
            const Backend::SgdStep step{0.25f, decay, {0.5f, clip, 0.75f}};
            const Buffer w = make(*be, shape, type, w0);
            be->sgd_update(w, make(*be, shape, DType::f32, g), step, {});
            expect_sgd(values(*be, w), w0, g, step, type);
          }
        }
      }
    }
  }
}

TEST_CASE("sgd of partial sums of ranks has the bits of sgd of their sum") {
  const std::int64_t ranks = GENERATE(1, 2, 8), pad = GENERATE(0, 3);
  const DType comm_dtype = GENERATE(DType::f32, DType::bf16);
  const bool rounding_stats = GENERATE(false, true);
  for (const int threads : {1, 2}) {
    const auto be = engine(threads);
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      for (const Shape shape : {Shape(0, 5), Shape(1, 1), Shape(3, 37), Shape(2, 17000)}) {
        const std::int64_t rows = shape.rows(), cols = shape.cols();
        const auto padded = [&](std::int64_t n, DType t, std::string const& name) {
          Buffer b = make_poisoned(*be, Shape(n, cols + pad), t);
          fill(*be, b.tensor().col_block(0, cols), random_values(name, n * cols));
          return b;
        };
        const Buffer partials = padded(ranks * rows, comm_dtype, "parts");
        const Tensor given = partials.tensor().col_block(0, cols);
        const Buffer sum = make_poisoned(*be, shape, DType::f32);
        be->sum_partials(sum, given);
        const Backend::SgdStep step{0.25f, 0.1f, {0.5f, 0.6f, 0.75f}};
        std::vector<std::vector<std::byte>> weights, tallies;
        for (const Tensor g : {sum.tensor(), given}) {
          const Buffer w = padded(rows, type, "w");
          const Buffer told = make(*be, Shape(4), DType::f64, std::vector<double>{0, 0, 0, 1});
          RoundingPlan plan{Rounding::stochastic, random_key(1, "round", "w", 1), 8};
          if (rounding_stats) plan.rounding_stats = told;
          be->sgd_update(w.tensor().col_block(0, cols), g, step, plan);
          weights.push_back(bits(*be, w.tensor().col_block(0, cols)));
          tallies.push_back(bits(*be, told));
        }
        CHECK(weights[0] == weights[1]);
        CHECK(tallies[0] == tallies[1]);
      }
    }
  }
}

TEST_CASE("parts of a gradient that are not finite reach the weight, and a guard keeps them away") {
  const auto be = engine();
  const Buffer partials =
      make(*be, Shape(2, 2), DType::bf16, std::vector<float>{1, kInf, 1, -kInf});
  const Buffer w = make(*be, Shape(1, 2), DType::f32, std::vector<float>{1, 1});
  const Buffer bad = make(*be, Shape(2), DType::f64, std::vector<double>{0, 1});
  be->sgd_update(w, partials, {0.25f, 0, {}}, {}, bad);
  CHECK(values(*be, w) == std::vector<double>{1, 1});
  be->sgd_update(w, partials, {0.25f, 0, {}}, {});
  CHECK(values(*be, w)[0] == 0.5);
  CHECK(std::isnan(values(*be, w)[1]));
}

TEST_CASE("sgd's order of clipping is the published one") {
  const auto be = engine();
  const Buffer w = make(*be, Shape(1, 1), DType::f32, std::vector<float>{0});
  const Buffer g = make(*be, Shape(1, 1), DType::f32, std::vector<float>{16});
  // 16 / 2 = 8, clipped to 4, halved to 2; scaling after clipping or the other way round gives 1, 4
  // or 8.
  be->sgd_update(w, g, {1, 0, {0.5f, 4, 0.5f}}, {});
  CHECK(values(*be, w) == std::vector<double>{-2});
}

TEST_CASE("a gradient that is not a number reaches an unguarded weight") {
  const auto be = engine();
  const Buffer w = make(*be, Shape(1, 2), DType::bf16, std::vector<float>{1, 1});
  be->sgd_update(w, make(*be, Shape(1, 2), DType::f32, std::vector<float>{kNaN, 1}),
                 {1, 0, {1, 0.5f, 1}}, {Rounding::stochastic, {1, 1}, 0});
  CHECK(std::isnan(values(*be, w)[0]));
  CHECK(values(*be, w)[1] == 0.5);
}

TEST_CASE("sgd touches the listed rows only") {
  const auto be = engine();
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const std::int64_t cols = 21;
    const auto w0 = rounded(random_values("w", 6 * cols), type);
    const auto g = random_values("g", 2 * cols);
    const Buffer w = make(*be, Shape(6, cols), type, w0);
    const Backend::SgdStep step{0.5f, 0.01f, {}};
    be->sgd_update(w, make(*be, Shape(2, cols), DType::f32, g), step, {}, {},
                   make_index(*be, {4, 1}));
    const auto part = [&](std::vector<float> const& m, std::int64_t row) {
      return std::vector<float>(m.begin() + row * cols, m.begin() + (row + 1) * cols);
    };
    for (std::int64_t row = 0; row < 6; ++row) {
      const auto got = values(*be, w.tensor().row_block(row, 1));
      if (row == 4 || row == 1) {
        expect_sgd(got, part(w0, row), part(g, row == 4 ? 0 : 1), step, type);
      } else {
        CHECK(got == doubles(part(w0, row)));
      }
    }
  }
}

TEST_CASE("measure sums squares of what is finite and counts the rest") {
  for (const int threads : {1, 2}) {
    const auto be = engine(threads);
    for (const Shape shape : {Shape(1, 1), Shape(5, 33), Shape(3, 50001)}) {
      auto g = random_values("g", shape.numel());
      const auto n = g.size();
      double sum = 0;
      double bad = 0;
      g[n / 2] = kNaN;
      g[n / 3] = kInf;
      g[n - 1] = -kInf;
      for (const float x : g) {
        if (std::isfinite(x)) {
          sum += 0.25 * x * x;  // scale 1/2 rounds nothing
        } else {
          bad += 1;
        }
      }
      const Buffer stats = make(*be, Shape(2), DType::f64, std::vector<double>{10, 1});
      be->accumulate_squared_norm(stats, make(*be, shape, DType::f32, g), 0.5f);
      const auto got = values(*be, stats);
      CHECK(std::abs(got[0] - (10 + sum)) <= static_cast<double>(n + 2) * 0x1p-53 * (10 + sum));
      CHECK(got[1] == 1 + bad);
    }
    // Large finite numbers overflow an f32 square, not a double one.
    const Buffer stats = make(*be, Shape(2), DType::f64, std::vector<double>{0, 0});
    be->accumulate_squared_norm(
        stats, make(*be, Shape(1, 1), DType::f32, std::vector<float>{0x1p100f}), 1);
    CHECK(values(*be, stats) == std::vector<double>{0x1p200, 0});
  }
}

TEST_CASE("inner_product adds the weighted product and that of the norms") {
  for (const int threads : {1, 2}) {
    const auto be = engine(threads);
    for (const Shape shape : {Shape(1, 1), Shape(5, 33), Shape(3, 50001)}) {
      const auto a = random_values("a", shape.numel()), b = random_values("b", shape.numel());
      double product = 0, aa = 0, bb = 0, size = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        const double x = a[i], y = b[i];
        product += x * y;
        size += std::abs(x * y);
        aa += x * x;
        bb += y * y;
      }
      const Buffer sums = make(*be, Shape(2), DType::f64, std::vector<double>{10, 1});
      be->inner_product(sums, make(*be, shape, DType::f32, a), make(*be, shape, DType::f32, b), 2);
      const auto got = values(*be, sums);
      const double roundings = static_cast<double>(a.size() + 4) * 0x1p-53;
      CHECK(std::abs(got[0] - (10 + 2 * product)) <= roundings * (10 + 2 * size));
      CHECK(std::abs(got[1] - (1 + 2 * std::sqrt(aa * bb))) <= roundings * got[1]);
    }
    const Buffer sums = make(*be, Shape(2), DType::f64, std::vector<double>{0, 0});
    const Buffer bad = make(*be, Shape(1, 2), DType::f32, std::vector<float>{1, kInf});
    be->inner_product(sums, bad, make(*be, Shape(1, 2), DType::f32, std::vector<float>{1, 0}), 1);
    CHECK(std::isnan(values(*be, sums)[0]));
  }
}

TEST_CASE("measure and sum do not depend on the number of threads") {
  const auto run = [](int threads) {
    const auto be = engine(threads);
    const std::int64_t n = 200003;
    const Buffer wide = make(*be, Shape(3, n), DType::f32, random_values("g", 3 * n));
    const Buffer stats = make(*be, Shape(2), DType::f64, std::vector<double>{0, 0});
    const Buffer total = make(*be, Shape(1), DType::f64, std::vector<double>{0});
    be->accumulate_squared_norm(stats, wide, 0.3f);
    be->accumulate_squared_norm(stats, wide.tensor().col_block(5, 70000), 0.3f);
    be->sum(total, wide.tensor().row_block(0, 1).reshaped(Shape(n)));
    auto all = bits(*be, stats);
    const auto more = bits(*be, total);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  CHECK(run(1) == run(2));
}

TEST_CASE("momentum accumulates and hands the mean on as the gradient") {
  const auto be = engine();
  const std::int64_t n = 1003;
  const Buffer m = make(*be, Shape(1, n), DType::f32, std::vector<float>(n, 0.0f));
  std::vector<double> wanted(n, 0.0);
  std::vector<double> size(n, 0.0);
  const GradientScaling scaling{0.5f, 0.4f, 0.9f};
  for (int t = 1; t <= 3; ++t) {
    const auto g = random_values("g" + std::to_string(t), n);
    const Buffer bg = make(*be, Shape(1, n), DType::f32, g);
    be->momentum_update(m, bg, 0.9f, scaling);
    std::vector<double> bound(n);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const double x = scaled(g[i], scaling);
      wanted[i] = double{0.9f} * wanted[i] + x;
      size[i] = double{0.9f} * size[i] + std::abs(x);
      bound[i] = 4 * t * kU * size[i];  // at most 4 roundings a step
    }
    check_within(values(*be, m), wanted, bound);
    CHECK(bits(*be, m) == bits(*be, bg));
  }
}

TEST_CASE("adamw follows its paper") {
  const auto be = engine();
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const std::int64_t n = 517;
    const auto w0 = rounded(random_values("w", n), type);
    const Buffer w = make(*be, Shape(n), type, w0);
    const Buffer m = make(*be, Shape(n), DType::f32, std::vector<float>(n, 0.0f));
    const Buffer v = make(*be, Shape(n), DType::f32, std::vector<float>(n, 0.0f));
    std::vector<double> rw = doubles(w0);
    std::vector<double> rm(n, 0.0), rm_size(n, 0.0), rv(n, 0.0), bound(n, 0.0);
    for (int t = 1; t <= (type == DType::f32 ? 4 : 1); ++t) {
      Backend::AdamStep step;
      step.lr = 0.01f;
      step.weight_decay = 0.1f;
      step.t = t;
      step.gradient = {0.5f, 0.4f, 0.9f};
      const auto g = random_values("g" + std::to_string(t), n);
      be->adamw_update(w, m, v, make(*be, Shape(n), DType::f32, g), step, {});
      const double b1 = step.beta1;
      const double b2 = step.beta2;
      for (std::size_t i = 0; i < rw.size(); ++i) {
        const double x = scaled(g[i], step.gradient);
        rm[i] = b1 * rm[i] + (1 - b1) * x;
        rm_size[i] = b1 * rm_size[i] + (1 - b1) * std::abs(x);
        rv[i] = b2 * rv[i] + (1 - b2) * x * x;
        const double down = std::sqrt(rv[i] / (1 - std::pow(b2, t))) + step.eps;
        const double rate = step.lr / (1 - std::pow(b1, t)) / down;
        rw[i] = rw[i] * (1 - double{step.lr} * step.weight_decay) - rate * rm[i];
        // m and v take 5 roundings a step (v's count half, under the root), the quotient 8 more.
        bound[i] += kU * ((8 * t + 8) * rate * rm_size[i] + 3 * std::abs(rw[i]));
        if (type != DType::f32) {
          bound[i] += unit_roundoff(type) * (std::abs(rw[i]) + bound[i]) + subnormal_roundoff(type);
        }
      }
      check_within(values(*be, w), rw, bound);
    }
  }
}

TEST_CASE("a raised guard leaves every bit") {
  const auto be = engine();
  const std::int64_t n = 600;
  const Shape shape(2, n / 2);
  for (const double count : {1.0, std::numeric_limits<double>::quiet_NaN()}) {
    const Buffer found_inf = make(*be, Shape(2), DType::f64, std::vector<double>{5, count});
    const Buffer open = make(*be, Shape(2), DType::f64, std::vector<double>{5, 0});
    const auto make_f32 = [&](char const* name) {
      return make(*be, shape, DType::f32, random_values(name, n));
    };
    const Buffer w = make(*be, shape, DType::bf16, random_values("w", n));
    const Buffer m = make_f32("m");
    const Buffer v = make(*be, shape, DType::f32, std::vector<float>(n, 1.0f));
    const Buffer g = make_f32("g");
    const Buffer row = make(*be, Shape(2), DType::f32, std::vector<float>(2, 1.0f));
    const Buffer col = make(*be, Shape(n / 2), DType::f32, std::vector<float>(n / 2, 1.0f));
    const Buffer total = make(*be, Shape(1), DType::f64, std::vector<double>{2});
    const Buffer sums = make(*be, Shape(2), DType::f64, std::vector<double>{1, 1});
    const std::vector<Tensor> all = {w, m, v, g, row};
    const auto snapshot = [&] {
      std::vector<std::vector<std::byte>> s;
      for (const Tensor t : all) s.push_back(bits(*be, t));
      return s;
    };
    const auto run = [&](Tensor stop) {
      Backend::SgdStep sgd{1, 0, {}};
      Backend::AdamStep adam;
      adam.lr = 1;
      Backend::AdaLomoStep ada;
      ada.lr = 1;
      be->sgd_update(w, g, sgd, {}, stop);
      be->sgd_update(w, g, sgd, {Rounding::stochastic, {1, 2}, 0}, stop);
      be->momentum_update(m, g, 0.5f, {}, stop);
      be->adamw_update(w, m, v, g, adam, {}, stop);
      be->decay_average(row, make(*be, Shape(2), DType::f32, std::vector<float>(2, 3.0f)), 0.5f, 1,
                        0, stop);
      be->adalomo_update(w, g, row, col, sums, {total, 2, n}, ada, {}, stop);
    };
    const auto before = snapshot();
    run(found_inf);
    CHECK(snapshot() == before);
    run(open);
    const auto after = snapshot();
    for (std::size_t i = 0; i < after.size(); ++i) CHECK(after[i] != before[i]);
  }
}
