// Norms from Gram matrices: against the gradient itself in double, and when they are not to be
// used.
#include "norm/gram_norm.h"

#include <cmath>
#include <limits>
#include <vector>

#include "lomo/optim/sinks/norm_probe.h"
#include "squares.h"
#include "support/catch.h"
#include "support/tensors.h"

using namespace lomo;
using namespace lomo::test;

namespace {

struct Layer {
  Layer(std::int64_t n, std::vector<std::int64_t> const& rows, std::int64_t inputs, DType dtype)
      : backend(make_cpu_backend({2, std::size_t{1} << 30})),
        group(*backend, dtype, specs(rows), inputs),
        dy(make(n, group.stacked().rows(), dtype, "dy")),
        x(make(n, inputs, dtype, "x")) {}

  static std::vector<ParameterGroup::Spec> specs(std::vector<std::int64_t> const& rows) {
    std::vector<ParameterGroup::Spec> list;
    for (const std::int64_t o : rows) list.push_back({"member" + std::to_string(list.size()), o});
    return list;
  }
  Buffer make(std::int64_t rows, std::int64_t cols, DType dtype, char const* name) {
    Buffer b = backend->allocate(Shape(rows, cols), dtype, Category::activations, name);
    fill(*backend, b, random_values(name, rows * cols));
    return b;
  }
  std::vector<Offer> offers() const {
    std::vector<Offer> list;
    list.push_back(LinearOffer{Factor::lent(dy), Factor::lent(x)});
    return list;
  }

  std::unique_ptr<Backend> backend;
  ParameterGroup group;
  Buffer dy, x;
};

/// Sum of squares of dy^T x in double.
double squares(Layer const& l) {
  const auto dy = values(*l.backend, l.dy), x = values(*l.backend, l.x);
  return squares_of_product(dy, x, l.dy.tensor().cols(), l.x.tensor().cols());
}

GradientStats probe(Layer& l, NormMethod method) {
  NormProbe sink({*l.backend, TileSize{}}, 0.5f, method);
  sink.offer(l.group, std::move(l.offers().front()), true);
  return sink.stats();
}

}  // namespace

TEST_CASE("the Gram norm is the norm of the gradient") {
  // What gram_norm.cpp itself lets pass for rounding.
  constexpr double kTrusted = 1e-3;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t n : {0, 1, 37, 256, 300}) {
      Layer l(n, {300, 150, 500}, 700, dtype);
      INFO(to_string(dtype) << ", " << n << " rows");
      REQUIRE(gram_is_cheaper(l.group, l.offers(), {l.backend->self_group()}));
      const double wanted = squares(l);
      const auto got =
          gram_norm_squared(*l.backend, l.group, l.offers(), {l.backend->self_group()});
      REQUIRE(got);
      CHECK(std::abs(*got - wanted) <= kTrusted * wanted);
      // Far better in practice: rounding errors of a random walk over 1650 products.
      CHECK(std::abs(*got - wanted) <= 4 * std::sqrt(1650.0) * 0x1p-24 * wanted);
      CHECK(probe(l, NormMethod::cheapest).sum_of_squares == 0.25 * *got);
    }
  }
}

TEST_CASE("members with rows of their own are measured each by its factors") {
  Layer l(40, {300, 150, 150}, 400, DType::f32);
  const Buffer few = l.make(7, 300, DType::f32, "dy of few"), x = l.make(7, 400, DType::f32, "xf");
  const Buffer dy = l.make(40, 300, DType::f32, "dy of others");
  const auto stats = [&](NormMethod method) {
    NormProbe sink({*l.backend, TileSize{5000}}, 1, method);
    sink.offer(l.group, LinearOffer{Factor::lent(few), Factor::lent(x), {}, 0, 1}, false);
    sink.offer(l.group, LinearOffer{Factor::lent(dy), Factor::lent(l.x), {}, 1}, true);
    return sink.stats();
  };
  const double tiles = stats(NormMethod::tiles).sum_of_squares;
  const double gram = stats(NormMethod::cheapest).sum_of_squares;
  CHECK(gram != tiles);  // or it was not used
  CHECK(gram == Approx(tiles).epsilon(4 * std::sqrt(1000.0) * 0x1p-24));
}

TEST_CASE("a gradient that nearly cancels is measured itself") {
  Layer l(64, {256}, 256, DType::f32);
  auto dy = raw_values<float>(*l.backend, l.dy), x = raw_values<float>(*l.backend, l.x);
  for (std::size_t i = 0; i < dy.size() / 2; ++i) {  // row r + 32 takes back what row r gives
    dy[i + dy.size() / 2] = -dy[i];
    x[i + x.size() / 2] = x[i] * (1 + 0x1p-16f);
  }
  fill(*l.backend, l.dy, dy);
  fill(*l.backend, l.x, x);
  REQUIRE(gram_is_cheaper(l.group, l.offers(), {l.backend->self_group()}));
  CHECK_FALSE(gram_norm_squared(*l.backend, l.group, l.offers(), {l.backend->self_group()}));
  const GradientStats tiles = probe(l, NormMethod::tiles);
  CHECK(tiles.sum_of_squares > 0);
  CHECK(probe(l, NormMethod::cheapest).sum_of_squares == tiles.sum_of_squares);
}

TEST_CASE("a non-finite factor is counted in the gradient, and a Gram matrix may overflow alone") {
  Layer l(64, {256}, 256, DType::f32);
  auto dy = raw_values<float>(*l.backend, l.dy);
  SECTION("not finite") {
    const float bad =
        GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
    dy[100] = bad;
    fill(*l.backend, l.dy, dy);
    const GradientStats stats = probe(l, NormMethod::cheapest);
    CHECK_FALSE(stats.finite());
    CHECK(stats.nonfinite == 256);  // one row of the gradient
  }
  SECTION("large") {
    for (float& v : dy) v *= 0x1p80f;
    fill(*l.backend, l.dy, dy);
    const GradientStats stats = probe(l, NormMethod::cheapest);
    CHECK(stats.finite());
    CHECK(stats.sum_of_squares == probe(l, NormMethod::tiles).sum_of_squares);
  }
}

TEST_CASE("long batches form the gradient, short ones do not") {
  const auto cheaper = [](std::int64_t n) {
    Layer l(n, {96}, 96, DType::f32);
    return gram_is_cheaper(l.group, l.offers(), {l.backend->self_group()});
  };
  CHECK(cheaper(16));
  CHECK_FALSE(cheaper(96));
}
