#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engines.h"

using namespace lomo;
using namespace lomo::test;

namespace {

using Values = std::vector<float>;

/// A matrix on the host: element (i, j) is values[i * step + j * stride].
struct View {
  Values const& values;
  std::size_t step, stride;
  double operator()(std::int64_t i, std::int64_t j) const {
    return values[static_cast<std::size_t>(i) * step + static_cast<std::size_t>(j) * stride];
  }
};
View plain(Values const& v, std::int64_t cols) {
  return {v, static_cast<std::size_t>(cols), 1};
}
View transposed(Values const& v, std::int64_t cols) {
  return {v, 1, static_cast<std::size_t>(cols)};
}

/// c = a b + added in double, and what f32 sums rounded once to `type` may be off by:
/// gamma_(K+1) sum|a||b| for the sum, in any order, and then u |c| for the rounding.
struct Product {
  Product(View a, View b, std::int64_t m, std::int64_t n, std::int64_t k, DType type,
          Values const* added) {
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = added == nullptr ? 0 : (*added)[static_cast<std::size_t>(i * n + j)];
        double size = std::abs(sum);
        for (std::int64_t l = 0; l < k; ++l) {
          sum += a(i, l) * b(l, j);
          size += std::abs(a(i, l) * b(l, j));
        }
        const double off = gamma_f32(k + 2) * size;
        const double u = type == DType::f32 ? 0 : unit_roundoff(type);
        wanted.push_back(sum);
        bound.push_back(off + u * (std::abs(sum) + off) + subnormal_roundoff(type));
      }
    }
  }
  std::vector<double> wanted, bound;
};

struct Sizes {
  std::int64_t n, i, o;
};
// 1 row, 1 column, odd widths, more than one tile of the widened product in each direction.
const std::vector<Sizes> kSizes = {{1, 1, 1},     {1, 64, 33},   {3, 7, 5},     {17, 129, 65},
                                   {64, 288, 96}, {21, 1030, 9}, {530, 70, 11}, {5, 40, 530}};

std::string text(Setup const& s, Sizes const& z, DType type) {
  return s.name + ", " + std::string(to_string(type)) + ", N " + std::to_string(z.n) + ", I " +
         std::to_string(z.i) + ", O " + std::to_string(z.o);
}

/// Runs f(engine, sizes, storage type, output type) for all combinations.
template <class F>
void everywhere(F&& f) {
  for (Setup const& setup : setups()) {
    const auto be = setup.make();
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      for (Sizes const& z : kSizes) {
        INFO(text(setup, z, type));
        f(*be, z, type, DType::f32);
        if (type != DType::f32) f(*be, z, type, type);
      }
    }
  }
}

/// A buffer (rows, cols + 2 * pad) full of NaN, whose middle columns are the matrix.
struct Padded {
  Padded(Backend& be, Values const& values, std::int64_t rows, std::int64_t cols, DType type,
         std::int64_t pad = 3)
      : buffer(make_poisoned(be, Shape(rows, cols + 2 * pad), type)),
        view(buffer.tensor().col_block(pad, cols)) {
    fill(be, view, values);
  }
  Buffer buffer;
  Tensor view;
};

}  // namespace

TEST_CASE("linear is x w^T, with or without a residual") {
  everywhere([](Backend& be, Sizes const& z, DType type, DType out) {
    const Values x = rounded(random_values("x", z.n * z.i), type);
    const Values w = rounded(random_values("w", z.o * z.i), type);
    const Values r = rounded(random_values("r", z.n * z.o), type);
    const Buffer bx = make(be, Shape(z.n, z.i), type, x);
    const Buffer bw = make(be, Shape(z.o, z.i), type, w);
    const Buffer br = make(be, Shape(z.n, z.o), type, r);
    const View a = plain(x, z.i);
    const View b = transposed(w, z.i);
    const Buffer y = make_poisoned(be, Shape(z.n, z.o), out);
    be.linear(y, bx, bw);
    const Product without(a, b, z.n, z.o, z.i, out, nullptr);
    check_within(values(be, y), without.wanted, without.bound);
    const Product with(a, b, z.n, z.o, z.i, out, &r);
    poison(be, y);
    be.linear(y, bx, bw, br);
    check_within(values(be, y), with.wanted, with.bound);
    fill(be, y, r);
    be.linear(y, bx, bw, y);  // the residual is y itself
    check_within(values(be, y), with.wanted, with.bound);
    CHECK(values(be, br) == doubles(r));  // left alone
  });
}

TEST_CASE("linear reads and writes column blocks and nothing beside them") {
  everywhere([](Backend& be, Sizes const& z, DType type, DType out) {
    const Values x = rounded(random_values("x", z.n * z.i), type);
    const Values w = rounded(random_values("w", z.o * z.i), type);
    const Padded px(be, x, z.n, z.i, type);
    const Padded pw(be, w, z.o, z.i, type);
    const Padded py(be, Values(static_cast<std::size_t>(z.n * z.o)), z.n, z.o, out);
    be.linear(py.view, px.view, pw.view);
    const Product p(plain(x, z.i), transposed(w, z.i), z.n, z.o, z.i, out, nullptr);
    check_within(values(be, py.view), p.wanted, p.bound);
    for (const double v : values(be, py.buffer.tensor().col_block(0, 3))) CHECK(std::isnan(v));
    for (const double v : values(be, py.buffer.tensor().col_block(3 + z.o, 3))) {
      CHECK(std::isnan(v));
    }
  });
}

TEST_CASE("linear_backward_input is dy w and adds when asked") {
  everywhere([](Backend& be, Sizes const& z, DType type, DType out) {
    const Values dy = rounded(random_values("dy", z.n * z.o), type);
    const Values w = rounded(random_values("w", z.o * z.i), type);
    const Values before = rounded(random_values("dx", z.n * z.i), out);
    const Padded bdy(be, dy, z.n, z.o, type);
    const Buffer bw = make(be, Shape(z.o, z.i), type, w);
    const Buffer dx = make_poisoned(be, Shape(z.n, z.i), out);
    be.linear_backward_input(dx, bdy.view, bw);
    const Product p(plain(dy, z.o), plain(w, z.i), z.n, z.i, z.o, out, nullptr);
    check_within(values(be, dx), p.wanted, p.bound);
    fill(be, dx, before);
    be.linear_backward_input(dx, bdy.view, bw, true);
    const Product added(plain(dy, z.o), plain(w, z.i), z.n, z.i, z.o, out, &before);
    check_within(values(be, dx), added.wanted, added.bound);
  });
}

TEST_CASE("linear_backward_weight is dy^T x and adds when asked") {
  everywhere([](Backend& be, Sizes const& z, DType type, DType out) {
    if (out != DType::f32) return;
    const Values dy = rounded(random_values("dy", z.n * z.o), type);
    const Values x = rounded(random_values("x", z.n * z.i), type);
    const Values before = random_values("g", z.o * z.i);
    const Padded bdy(be, dy, z.n, z.o, type);
    for (const std::int64_t pad : {0, 2}) {
      const Padded bx(be, x, z.n, z.i, type, pad);
      const Padded g(be, Values(static_cast<std::size_t>(z.o * z.i)), z.o, z.i, out, pad);
      poison(be, g.view);
      be.linear_backward_weight(g.view, bdy.view, bx.view);
      const Product p(transposed(dy, z.o), plain(x, z.i), z.o, z.i, z.n, out, nullptr);
      check_within(values(be, g.view), p.wanted, p.bound);
      fill(be, g.view, before);
      be.linear_backward_weight(g.view, bdy.view, bx.view, true);
      const Product added(transposed(dy, z.o), plain(x, z.i), z.o, z.i, z.n, out, &before);
      check_within(values(be, g.view), added.wanted, added.bound);
    }
  });
}

TEST_CASE("linear_backward_weights is that of each block of columns, rounded once") {
  struct Blocks {
    std::int64_t n, i, o, count, stride, t;
  };
  // Alone, side by side, apart; aligned blocks and others; more rows than one product takes at
  // once.
  const std::vector<Blocks> cases = {{7, 24, 30, 1, 0, 30},    {64, 32, 48, 3, 16, 16},
                                     {33, 19, 96, 4, 24, 8},   {20, 40, 61, 3, 17, 5},
                                     {4200, 16, 40, 2, 24, 8}, {1, 1, 2, 2, 1, 1}};
  for (Setup const& setup : setups()) {
    const auto be = setup.make();
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      for (const std::int64_t pad : {0, 8, 3}) {
        for (Blocks const& c : cases) {
          INFO(text(setup, {c.n, c.i, c.o}, type) << ", " << c.count << " blocks, pad " << pad);
          const std::int64_t width = (c.count - 1) * c.stride + c.t;
          const Padded dy(*be, random_values("dy", c.n * width), c.n, width, type, pad);
          const Padded x(*be, random_values("x", c.n * c.i), c.n, c.i, type, pad);
          const std::int64_t rows = c.count * c.t;
          const Buffer single = make_poisoned(*be, Shape(c.t, c.i), DType::f32);
          for (const DType out : {DType::f32, type}) {
            const Buffer g = make_poisoned(*be, Shape(rows, c.i), out);
            be->linear_backward_weights(g, dy.view, x.view, {c.count, c.stride});
            for (std::int64_t b = 0; b < c.count; ++b) {
              be->linear_backward_weight(single, dy.view.col_block(b * c.stride, c.t), x.view);
              const Buffer wanted = make_poisoned(*be, Shape(c.t, c.i), out);
              be->copy(wanted, single);
              if (bits(*be, g.tensor().row_block(b * c.t, c.t)) != bits(*be, wanted)) {
                FAIL("block " << b << " of " << to_string(out) << " differs");
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("empty products give the residual or 0") {
  const auto be = engine();
  const Values r = random_values("r", 6);
  const Buffer br = make(*be, Shape(2, 3), DType::f32, r);
  const Buffer y = make_poisoned(*be, Shape(2, 3), DType::f32);
  const Buffer x = be->allocate(Shape(2, 0), DType::f32, Category::activations, "x");
  const Buffer w = be->allocate(Shape(3, 0), DType::f32, Category::weights, "w");
  be->linear(y, x, w);
  CHECK(raw_values<float>(*be, y) == Values(6, 0.0f));
  be->linear(y, x, w, br);
  CHECK(raw_values<float>(*be, y) == r);
  const Buffer none_y = be->allocate(Shape(0, 2), DType::f32, Category::activations, "dy");
  const Buffer none_x = be->allocate(Shape(0, 3), DType::f32, Category::activations, "x");
  const Buffer g = make_poisoned(*be, Shape(2, 3), DType::f32);
  be->linear_backward_weight(g, none_y, none_x);
  CHECK(raw_values<float>(*be, g) == Values(6, 0.0f));
}

// The contract that makes fused and stored gradients, and any two tile sizes, agree to the bit.
TEST_CASE("an element of a weight gradient has the same bits in every tile") {
  const std::vector<Sizes> shapes = {
      {512, 288, 130}, {700, 65, 300}, {1537, 101, 257}, {4200, 40, 96}, {513, 1001, 65}};
  for (Setup const& setup : setups()) {
    const auto be = setup.make();
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      for (Sizes const& z : shapes) {
        INFO(text(setup, z, type));
        const Buffer dy = make(*be, Shape(z.n, z.o), type, random_values("dy", z.n * z.o));
        const Buffer x = make(*be, Shape(z.n, z.i), type, random_values("x", z.n * z.i));
        const Buffer whole = make_poisoned(*be, Shape(z.o, z.i), DType::f32);
        be->linear_backward_weight(whole, dy, x);
        for (const std::int64_t tile : {1, 2, 3, 16, 33, 64, 127}) {
          for (std::int64_t first = 0; first < z.o; first += tile < 16 ? 23 : tile) {
            const std::int64_t rows = std::min(tile, z.o - first);
            const Buffer g = make_poisoned(*be, Shape(rows, z.i), DType::f32);
            be->linear_backward_weight(g, dy.tensor().col_block(first, rows), x);
            if (bits(*be, g) != bits(*be, whole.tensor().row_block(first, rows))) {
              FAIL("rows [" << first << ", " << first + rows << ") differ");
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a row of y depends on its row of x alone") {
  for (Setup const& setup : setups()) {
    const auto be = setup.make();
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      Values x = random_values("x", 40 * 96);
      const Buffer w = make(*be, Shape(50, 96), type, random_values("w", 50 * 96));
      const Buffer y1 = make_poisoned(*be, Shape(40, 50), type);
      const Buffer y2 = make_poisoned(*be, Shape(40, 50), type);
      be->linear(y1, make(*be, Shape(40, 96), type, x), w);
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (i / 96 != 17) x[i] = std::numeric_limits<float>::quiet_NaN();
      }
      be->linear(y2, make(*be, Shape(40, 96), type, x), w);
      CHECK(bits(*be, y1.tensor().row_block(17, 1)) == bits(*be, y2.tensor().row_block(17, 1)));
    }
  }
}
