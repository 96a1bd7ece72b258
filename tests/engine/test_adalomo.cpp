#include <cmath>
#include <string>
#include <vector>

#include "engines.h"

using namespace lomo;
using namespace lomo::test;

namespace {

constexpr double kU = 0x1p-24;
constexpr float kEps1 = 1e-30f;

float beta_of(int t) {
  return static_cast<float>(1 - std::pow(t, -0.8));
}

/// AdaLomo as its paper writes it, in double and without any care.
struct Reference {
  Reference(std::vector<float> const& weights, std::int64_t o, std::int64_t i)
      : rows(o),
        cols(i),
        w(weights.begin(), weights.end()),
        row(size(o)),
        col(size(i)),
        bound(size(o * i)) {}
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  std::size_t at(std::int64_t i, std::int64_t j) const { return size(i * cols + j); }

  void step(std::vector<float> const& g, int t, Backend::AdaLomoStep const& s) {
    const double beta = beta_of(t);
    std::vector<double> row_mean(size(rows)), col_mean(size(cols));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j) {
        const double square = std::pow(s.gradient.scale * double{g[at(i, j)]}, 2);
        row_mean[size(i)] += square / static_cast<double>(cols);
        col_mean[size(j)] += square / static_cast<double>(rows);
      }
    }
    double mean = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = beta * row[i] + (1 - beta) * (row_mean[i] + kEps1);
      mean += row[i] / static_cast<double>(rows);
    }
    for (std::size_t j = 0; j < col.size(); ++j) {
      col[j] = beta * col[j] + (1 - beta) * (col_mean[j] + kEps1);
    }
    const auto n = static_cast<double>(rows * cols);
    std::vector<double> u(w.size());
    double u2 = 0;
    double w2 = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j) {
        const std::size_t e = at(i, j);
        u[e] = s.gradient.scale * double{g[e]} / std::sqrt(row[size(i)] / mean) /
               std::sqrt(col[size(j)]);
        u2 += u[e] * u[e];
        w2 += w[e] * w[e];
      }
    }
    const double eta = s.lr * std::max(double{s.eps2}, std::sqrt(w2 / n));
    const double clip = std::max(1.0, std::sqrt(u2 / n) / s.clip_threshold);
    for (std::size_t e = 0; e < w.size(); ++e) {
      w[e] = w[e] * (1 - eta * s.weight_decay) - eta * u[e] / clip;
      // The two averages take 4 roundings a step each, halved by the root; the factors, the
      // product, the rate and the step 12 more; RMS(w) inherits what w is off by, in relation.
      bound[e] += kU * ((4 * t + 12) * std::abs(eta * u[e] / clip) * 2 + 3 * std::abs(w[e]));
    }
  }

  std::int64_t rows, cols;
  std::vector<double> w, row, col, bound;
};

/// The same step by the engine's operations, on `parts` blocks of rows that share their sums.
struct Engine {
  Engine(Backend& backend, std::vector<float> const& weights, std::int64_t o, std::int64_t i,
         DType type)
      : be(backend),
        w(make(be, Shape(o, i), type, weights)),
        row(make(be, Shape(o), DType::f32, std::vector<float>(Reference::size(o)))),
        col(make(be, Shape(i), DType::f32, std::vector<float>(Reference::size(i)))) {}

  void step(std::vector<float> const& values_of_g, int t, Backend::AdaLomoStep const& s,
            RoundingPlan plan = {}, std::int64_t parts = 1) {
    const std::int64_t o = w.tensor().rows();
    const std::int64_t i = w.tensor().cols();
    const Buffer g = make(be, Shape(o, i), DType::f32, values_of_g);
    const Buffer row_sums = make_poisoned(be, Shape(o), DType::f32);
    const Buffer col_sums = make_poisoned(be, Shape(i), DType::f32);
    be.square_sums(row_sums, col_sums, g, s.gradient);
    be.decay_average(row, row_sums, beta_of(t), 1 / static_cast<float>(i), kEps1);
    be.decay_average(col, col_sums, beta_of(t), 1 / static_cast<float>(o), kEps1);
    const Buffer total = make(be, Shape(1), DType::f64, std::vector<double>{0});
    be.sum(total, row);
    const Backend::AdaLomoTensor whole{total, o, o * i};
    const Buffer sums = make(be, Shape(2), DType::f64, std::vector<double>{0, 0});
    const std::int64_t block = (o + parts - 1) / parts;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t first = 0; first < o; first += block) {
        const std::int64_t count = std::min(block, o - first);
        const Tensor pw = w.tensor().row_block(first, count);
        const Tensor pg = g.tensor().row_block(first, count);
        const Tensor pr = row.tensor().row_block(first, count);
        RoundingPlan at = plan;
        at.first += first * i;
        if (pass == 0) be.adalomo_statistics(sums, pw, pg, pr, col, whole, s.gradient);
        if (pass == 1) be.adalomo_update(pw, pg, pr, col, sums, whole, s, at);
      }
    }
  }

  Backend& be;
  Buffer w, row, col;
};

Backend::AdaLomoStep ordinary() {
  Backend::AdaLomoStep s;
  s.lr = 0.05f;
  s.weight_decay = 0.1f;
  s.gradient.scale = 0.5f;
  return s;
}

}  // namespace

TEST_CASE("adalomo follows its paper, and a vector has the plain second moment") {
  const auto be = engine();
  for (const auto& [o, i] : {std::pair<std::int64_t, std::int64_t>{1, 37}, {70, 33}, {5, 1}}) {
    INFO(o << " x " << i);
    const auto w0 = random_values("w", o * i);
    Reference reference(w0, o, i);
    Engine e(*be, w0, o, i, DType::f32);
    for (int t = 1; t <= 3; ++t) {
      const auto g = random_values("g" + std::to_string(t), o * i, 3e-3f);
      reference.step(g, t, ordinary());
      e.step(g, t, ordinary());
      check_within(values(*be, e.w), reference.w, reference.bound);
    }
  }
}

TEST_CASE("rows of an embedding that never occurred stay as they are") {
  const auto be = engine();
  const std::int64_t o = 40;
  const std::int64_t i = 24;
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const auto w0 = rounded(random_values("w", o * i), type);
    Engine e(*be, w0, o, i, type);
    Backend::AdaLomoStep s = ordinary();
    s.weight_decay = 0;
    for (int t = 1; t <= 6; ++t) {
      auto g = random_values("g" + std::to_string(t), o * i);
      for (std::int64_t row = 0; row < o; ++row) {
        if (row % 3 != 0) continue;  // never; and one column never either
        std::fill_n(g.begin() + row * i, i, 0.0f);
      }
      for (std::int64_t row = 0; row < o; ++row) g[Reference::size(row * i + 5)] = 0;
      e.step(g, t, s, {Rounding::stochastic, {1, 1}, 0});
    }
    const auto got = values(*be, e.w);
    for (std::int64_t row = 0; row < o; ++row) {
      for (std::int64_t j = 0; j < i; ++j) {
        const std::size_t at = Reference::size(row * i + j);
        REQUIRE(std::isfinite(got[at]));
        if (row % 3 == 0 || j == 5) {
          REQUIRE(got[at] == w0[at]);
        }
      }
    }
  }
}

TEST_CASE("a gradient of zeros changes nothing, with or without the published epsilon") {
  const auto be = engine();
  const auto w0 = random_values("w", 12);
  Engine e(*be, w0, 3, 4, DType::f32);
  Backend::AdaLomoStep s = ordinary();
  s.weight_decay = 0;
  e.step(std::vector<float>(12), 1, s);
  CHECK(raw_values<float>(*be, e.w) == w0);
  be->zero(e.row);
  be->zero(e.col);
  const Buffer total = make(*be, Shape(1), DType::f64, std::vector<double>{0});
  const Buffer sums = make(*be, Shape(2), DType::f64, std::vector<double>{0, 0});
  const Buffer g = make(*be, Shape(3, 4), DType::f32, std::vector<float>(12));
  be->adalomo_statistics(sums, e.w, g, e.row, e.col, {total, 3, 12}, {});
  be->adalomo_update(e.w, g, e.row, e.col, sums, {total, 3, 12}, s, {});
  CHECK(raw_values<float>(*be, e.w) == w0);
}

TEST_CASE("a rank that owns some rows takes the same step") {
  const std::int64_t o = 30;
  const std::int64_t i = 50;
  const auto be = engine();
  for (const auto& [type, rounding] :
       {std::pair{DType::f32, Rounding::nearest}, {DType::bf16, Rounding::stochastic}}) {
    const auto w0 = random_values("w", o * i);
    Engine whole(*be, w0, o, i, type);
    Engine halves(*be, w0, o, i, type);
    const auto g = random_values("g", o * i);
    whole.step(g, 1, ordinary(), {rounding, {1, 1}, 0}, 1);
    halves.step(g, 1, ordinary(), {rounding, {1, 1}, 0}, 2);
    CHECK(bits(*be, whole.w) == bits(*be, halves.w));
  }
}

TEST_CASE("adalomo does not depend on the number of threads") {
  const auto run = [](int threads) {
    const auto be = engine(threads);
    Engine e(*be, random_values("w", 200 * 300), 200, 300, DType::bf16);
    for (int t = 1; t <= 2; ++t) {
      e.step(random_values("g" + std::to_string(t), 200 * 300), t, ordinary(),
             {Rounding::stochastic, {1, 1}, 0});
    }
    return bits(*be, e.w);
  };
  CHECK(run(1) == run(2));
}

TEST_CASE("square sums of ragged sizes") {
  const auto be = engine();
  for (const auto& [o, i] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {64, 513}, {130, 7}}) {
    const auto g = random_values("g", o * i);
    const Buffer row = make_poisoned(*be, Shape(o), DType::f32);
    const Buffer col = make_poisoned(*be, Shape(i), DType::f32);
    be->square_sums(row, col, make(*be, Shape(o, i), DType::f32, g), {2, 1.5f, 0.5f});
    std::vector<double> rows(Reference::size(o)), cols(Reference::size(i));
    for (std::int64_t a = 0; a < o; ++a) {
      for (std::int64_t b = 0; b < i; ++b) {
        const double x = 2.0 * g[Reference::size(a * i + b)];
        const double clipped = 0.5 * std::min(std::max(x, -1.5), 1.5);
        rows[Reference::size(a)] += clipped * clipped;
        cols[Reference::size(b)] += clipped * clipped;
      }
    }
    const auto bound = [](std::vector<double> v, std::int64_t terms) {
      for (double& x : v) x *= square_sums_roundoff(terms);
      return v;
    };
    check_within(values(*be, row), rows, bound(rows, i));
    check_within(values(*be, col), cols, bound(cols, o));
  }
}
