// Im f(x + ih) / h is the derivative of f to rounding error, without the cancellation of finite
// differences: every backward of ops.h against its forward, element by element.
#include <functional>
#include <string>

#include "lomo/core/random.h"
#include "reference/llama.h"
#include "reference/ops.h"
#include "support/catch.h"

using namespace lomo;
using namespace lomo::reference;
using Complex = std::complex<double>;

namespace {

constexpr double kStep = 1e-50;
/// Both sides round in double; sums here have under 1000 terms of order one.
constexpr double kTolerance = 1e-12;

Array<double> random(char const* name, std::int64_t n, double scale = 1) {
  RandomStream stream(random_key(0, "complex step", name, 0));
  Array<double> x = zeros<double>(n);
  for (double& v : x) v = scale * (2 * stream.uniform() - 1);
  return x;
}
Array<Complex> lift(Array<double> const& x) {
  return {x.begin(), x.end()};
}
Complex dot(Array<Complex> const& x, Array<double> const& weights) {
  REQUIRE(x.size() == weights.size());
  Complex sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * weights[i];
  return sum;
}

/// Checks `gradient` of the scalar f at x, every element.
void check_gradient(std::string const& what, Array<double> const& x, Array<double> const& gradient,
                    std::function<Complex(Array<Complex> const&)> const& f) {
  INFO(what);
  REQUIRE(gradient.size() == x.size());
  double scale = 0;
  for (const double g : gradient) scale = std::fmax(scale, std::fabs(g));
  Array<Complex> moved = lift(x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    moved[i] += Complex(0, kStep);
    const double expected = f(moved).imag() / kStep;
    moved[i] = x[i];
    INFO("element " << i << ": " << gradient[i] << " for " << expected);
    REQUIRE(std::fabs(gradient[i] - expected) <= kTolerance * (1 + scale));
  }
}

}  // namespace

TEST_CASE("linear") {
  const std::int64_t n = 3, in = 5, out = 7;
  const auto x = random("x", n * in), w = random("w", out * in), dy = random("dy", n * out);
  check_gradient("dx", x, linear_backward_input(dy, w, in, out),
                 [&](auto const& z) { return dot(linear(z, lift(w), in, out), dy); });
  check_gradient("dw", w, linear_backward_weight(dy, x, in, out),
                 [&](auto const& z) { return dot(linear(lift(x), z, in, out), dy); });
}

TEST_CASE("rmsnorm") {
  const std::int64_t n = GENERATE(1, 4), c = GENERATE(1, 9);
  const double eps = 1e-5;
  const auto x = random("x", n * c), w = random("w", c), dy = random("dy", n * c);
  const auto g = rmsnorm_backward(dy, x, w, rmsnorm(x, w, eps).rstd);
  check_gradient("dx", x, g.dx, [&](auto const& z) { return dot(rmsnorm(z, lift(w), eps).y, dy); });
  check_gradient("dw", w, g.dw, [&](auto const& z) { return dot(rmsnorm(lift(x), z, eps).y, dy); });
}

TEST_CASE("rope") {
  const std::int64_t heads = 2;
  const std::vector<double> freq{1, 0.1, 0.003};
  const Ints positions{0, 1, 131071};
  const auto x = random("x", 3 * heads * 6), dy = random("dy", 3 * heads * 6);
  check_gradient("dx", x, rope(dy, positions, freq, heads, -1),
                 [&](auto const& z) { return dot(rope(z, positions, freq, heads), dy); });
}

TEST_CASE("swiglu") {
  const std::int64_t n = 3, f = 5;
  const auto x = random("x", n * 2 * f, 6), dy = random("dy", n * f);
  check_gradient("d gate_up", x, swiglu_backward(dy, x, f),
                 [&](auto const& z) { return dot(swiglu(z, f), dy); });
}

TEST_CASE("attention") {
  struct Case {
    Rows q, k;
    HeadShape heads;
  };
  const Case one_token{{{0, 1}, {0}}, {{0, 1}, {0}}, {1, 1, 2, 0.7}};
  const Rows ragged{{0, 1, 1, 6, 8}, {0, 0, 1, 2, 3, 4, 0, 1}};
  const Case self{ragged, ragged, {4, 2, 6, 1 / std::sqrt(6.0)}};
  // Fewer queries than keys, and a query before the first key: it sees nothing.
  const Case apart{
      {{0, 2, 4}, {3, 5, 1, 8}}, {{0, 6, 9}, {0, 1, 2, 3, 4, 5, 4, 5, 6}}, {3, 1, 4, 0.5}};
  const Case windowed{ragged, ragged, {4, 2, 6, 1 / std::sqrt(6.0), 3}};
  const Case c = GENERATE_COPY(one_token, self, apart, windowed);
  const auto nq = static_cast<std::int64_t>(c.q.positions.size());
  const auto nk = static_cast<std::int64_t>(c.k.positions.size());
  const std::int64_t hd = c.heads.query * c.heads.width, gd = c.heads.key_value * c.heads.width;
  const auto q = random("q", nq * hd), k = random("k", nk * gd), v = random("v", nk * gd);
  const auto dy = random("dy", nq * hd);
  const auto g = attention_backward(dy, q, k, v, c.q, c.k, c.heads);
  check_gradient("dq", q, g.dq, [&](auto const& z) {
    return dot(attention(z, lift(k), lift(v), c.q, c.k, c.heads).out, dy);
  });
  check_gradient("dk", k, g.dk, [&](auto const& z) {
    return dot(attention(lift(q), z, lift(v), c.q, c.k, c.heads).out, dy);
  });
  check_gradient("dv", v, g.dv, [&](auto const& z) {
    return dot(attention(lift(q), lift(k), z, c.q, c.k, c.heads).out, dy);
  });
}

TEST_CASE("attention of a query that sees no key is zero, its lse minus infinity") {
  const Rows q{{0, 1}, {1}}, k{{0, 2}, {4, 5}};
  const auto r = attention(random("q", 2), random("k", 4), random("v", 4), q, k, {1, 1, 2, 1});
  CHECK(r.out == Array<double>{0, 0});
  CHECK(r.lse[0] == -std::numeric_limits<double>::infinity());
}

TEST_CASE("cross-entropy, whatever the vocabulary block") {
  const std::int64_t n = 3, vocab = 11, block = GENERATE(1, 4, 11, 100);
  const Ints targets{0, 10, 4};
  const auto z = random("z", n * vocab, 5), weights = random("weights", n);
  const auto whole = cross_entropy(z, targets, vocab, block);
  auto dz = cross_entropy_backward(z, whole.lse, targets, vocab, 1.0);
  for (std::size_t i = 0; i < dz.size(); ++i) dz[i] *= weights[i / static_cast<std::size_t>(vocab)];
  check_gradient("dz", z, dz, [&](auto const& moved) {
    return dot(cross_entropy(moved, targets, vocab, block).loss, weights);
  });
}

TEST_CASE("a whole model") {
  ModelShape shape;
  shape.width = 6;
  shape.layers = 2;
  shape.heads = 4;
  shape.kv_heads = GENERATE(1, 2, 4);
  shape.head_width = 2;
  shape.ffn = 5;
  shape.vocab = 7;
  shape.tied = GENERATE(false, true);
  shape.inv_freq = {0.4};
  Tokens batch;
  batch.tokens = {3, 1, 3, 6, 0, 2};
  batch.rows = {{0, 1, 6}, {0, 0, 1, 2, 3, 4}};
  batch.loss_rows = {0, 2, 4, 5};
  batch.targets = {1, 6, 0, 3};

  Weights<double> w = weights_like<double>(shape);
  int index = 0;
  each(w, [&](Array<double>& p) {
    p = random(("weight " + std::to_string(index++)).c_str(), static_cast<std::int64_t>(p.size()));
  });
  Weights<double> gradient = loss_gradient(shape, w, batch, 0.25);
  std::vector<Array<double>*> values, gradients;
  each(w, [&](Array<double>& p) { values.push_back(&p); });
  each(gradient, [&](Array<double>& p) { gradients.push_back(&p); });
  for (std::size_t i = 0; i < values.size(); ++i) {
    check_gradient("parameter " + std::to_string(i), *values[i], *gradients[i],
                   [&](Array<Complex> const& moved) {
                     Weights<Complex> z = weights_like<Complex>(shape);
                     std::size_t at = 0;
                     each(z, [&](Array<Complex>& p) {
                       p = at == i ? moved : lift(*values[at]);
                       ++at;
                     });
                     Complex sum = 0;
                     for (const Complex loss : losses(shape, z, batch)) sum += 0.25 * loss;
                     return sum;
                   });
  }
}

TEST_CASE("norm of a linear layer's gradient from Gram matrices") {
  const std::int64_t n = 6, in = 5, out = 7;
  auto x = random("x", n * in), dy = random("dy", n * out);
  SECTION("at random") {}
  SECTION("rows that nearly cancel") {
    for (std::int64_t i = 0; i < n / 2 * out; ++i) dy[at(n / 2, out, i)] = -dy[at(0, out, i)];
    for (std::int64_t i = 0; i < n / 2 * in; ++i) {
      x[at(n / 2, in, i)] = x[at(0, in, i)] * (1 + 0x1p-20);
    }
  }
  const auto dw = linear_backward_weight(dy, x, in, out);
  double squares = 0;
  for (const double g : dw) squares += g * g;
  // Every sum rounds its terms, n^2 products of out and in products, once each at most.
  const auto absolute = [](Array<double> v) {
    for (double& a : v) a = std::fabs(a);
    return v;
  };
  const double terms = gram_norm_squared(absolute(dy), absolute(x), out, in);
  const double rounding = static_cast<double>(n * n + out + in) * 0x1p-53 * terms;
  const double gram = gram_norm_squared(dy, x, out, in);
  CHECK(std::fabs(gram - squares) <= rounding);
  CHECK(squares > 10 * rounding);  // or the bound says nothing
  // d/d dy = 2 x dW^T, d/dx = 2 dy dW.
  auto d_dy = linear(x, dw, in, out), dx = linear_backward_input(dy, dw, in, out);
  for (Array<double>* d : {&d_dy, &dx}) {
    for (double& v : *d) v *= 2;
  }
  check_gradient("d dy", dy, d_dy,
                 [&](auto const& z) { return gram_norm_squared(z, lift(x), out, in); });
  check_gradient("dx", x, dx,
                 [&](auto const& z) { return gram_norm_squared(lift(dy), z, out, in); });
}
