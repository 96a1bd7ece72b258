#include <vector>

#include "engines.h"

using namespace lomo;
using namespace lomo::test;

namespace {

std::vector<float> row_of(std::vector<float> const& m, std::int64_t row, std::int64_t cols) {
  const auto begin = m.begin() + row * cols;
  return {begin, begin + cols};
}

}  // namespace

TEST_CASE("gather and scatter move rows and leave the others alone") {
  const auto be = engine();
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const std::int64_t cols = 37;
    const auto values_in = rounded(random_values("x", 9 * cols), type);
    const Buffer wide = make_poisoned(*be, Shape(9, cols + 2), type);
    const Tensor x = wide.tensor().col_block(1, cols);
    fill(*be, x, values_in);
    const std::vector<std::int32_t> rows = {8, 0, 3, 3};
    const Buffer y = make_poisoned(*be, Shape(4, cols), type);
    be->gather_rows(y, x, make_index(*be, rows));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(values(*be, y.tensor().row_block(static_cast<std::int64_t>(i), 1)) ==
            doubles(row_of(values_in, rows[i], cols)));
    }
    const Buffer z = make(*be, Shape(5, cols), type, std::vector<float>(5 * cols, 2.0f));
    be->scatter_rows(z, x.row_block(0, 2), make_index(*be, {4, 1}));
    CHECK(values(*be, z.tensor().row_block(4, 1)) == doubles(row_of(values_in, 0, cols)));
    CHECK(values(*be, z.tensor().row_block(1, 1)) == doubles(row_of(values_in, 1, cols)));
    for (const std::int64_t left : {0, 2, 3}) {
      CHECK(values(*be, z.tensor().row_block(left, 1)) == std::vector<double>(cols, 2.0));
    }
  }
}

TEST_CASE("sum_rows adds the rows of each segment in order") {
  for (const std::int64_t cols : {1, 5, 700}) {
    for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
      const auto dy = rounded(random_values("dy", 7 * cols), type);
      const std::vector<std::int32_t> order = {6, 2, 0, 5, 1, 3, 4};
      const std::vector<std::int32_t> segments = {0, 1, 1, 6, 7};  // the second one is empty
      std::vector<double> wanted;
      for (std::size_t u = 0; u + 1 < segments.size(); ++u) {
        for (std::int64_t j = 0; j < cols; ++j) {
          float sum = 0;  // exactly this order, in f32
          for (std::int32_t i = segments[u]; i < segments[u + 1]; ++i) {
            sum += dy[static_cast<std::size_t>(order[static_cast<std::size_t>(i)] * cols + j)];
          }
          wanted.push_back(sum);
        }
      }
      for (const int threads : {1, 2}) {
        const auto be = engine(threads);
        const Buffer out = make_poisoned(*be, Shape(4, cols), DType::f32);
        be->sum_rows(out, make(*be, Shape(7, cols), type, dy), make_index(*be, order),
                     make_index(*be, segments));
        CHECK(values(*be, out) == wanted);
      }
    }
  }
}

TEST_CASE("sum_rows of no rows is 0") {
  const auto be = engine();
  const Buffer out = make_poisoned(*be, Shape(2, 3), DType::f32);
  const Buffer none = be->allocate(Shape(0, 3), DType::bf16, Category::activations, "dy");
  be->sum_rows(out, none, make_index(*be, {}), make_index(*be, {0, 0, 0}));
  CHECK(values(*be, out) == std::vector<double>(6, 0.0));
}

TEST_CASE("add_rows adds those rows that fall into the tile") {
  const auto be = engine();
  const std::int64_t cols = 19;
  const auto u = random_values("u", 4 * cols);
  const auto before = random_values("g", 5 * cols);
  const Buffer g = make(*be, Shape(5, cols), DType::f32, before);
  // The tile is rows [10, 15): of these 9 and 15 lie outside.
  be->add_rows(g, make(*be, Shape(4, cols), DType::f32, u), make_index(*be, {9, 10, 14, 15}), 10);
  std::vector<float> wanted = before;
  for (std::int64_t j = 0; j < cols; ++j) {
    wanted[static_cast<std::size_t>(j)] += u[static_cast<std::size_t>(cols + j)];
    wanted[static_cast<std::size_t>(4 * cols + j)] += u[static_cast<std::size_t>(2 * cols + j)];
  }
  CHECK(raw_values<float>(*be, g) == wanted);
}

TEST_CASE("copy converts to the nearest and keeps to its block") {
  const auto be = engine();
  const std::vector<double> numbers = {0, 1, -2.5, 1 + 0x1p-9, 1 + 0x1p-8 + 0x1p-40, 3e38, -1e-3};
  const auto n = static_cast<std::int64_t>(numbers.size());
  const Buffer d = make(*be, Shape(1, n), DType::f64, numbers);
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    const Buffer to = make_poisoned(*be, Shape(1, n), type);
    be->copy(to, d);
    const auto got = values(*be, to);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (type == DType::f16 && numbers[i] > 65504) {
        CHECK(std::isinf(got[i]));
      } else {
        CHECK(std::abs(got[i] - numbers[i]) <= unit_roundoff(type) * std::abs(numbers[i]));
      }
    }
  }
  // Just above a tie of bf16 that f32 cannot tell from the tie: up, not to even.
  const Buffer b = make_poisoned(*be, Shape(1, n), DType::bf16);
  be->copy(b, d);
  CHECK(values(*be, b)[4] == 1 + 0x1p-7);
  const Buffer back = make_poisoned(*be, Shape(1, n), DType::f64);
  be->copy(back, b);
  CHECK(values(*be, back) == values(*be, b));

  const Buffer wide = make_poisoned(*be, Shape(3, 6), DType::f32);
  be->zero(wide.tensor().col_block(1, 2));
  const Buffer part = make(*be, Shape(3, 2), DType::bf16, std::vector<float>(6, 1.5f));
  be->copy(wide.tensor().col_block(3, 2), part);
  for (const std::int64_t col : {0, 5}) {
    for (const double v : values(*be, wide.tensor().col_block(col, 1))) CHECK(std::isnan(v));
  }
  CHECK(values(*be, wide.tensor().col_block(1, 2)) == std::vector<double>(6, 0.0));
  CHECK(values(*be, wide.tensor().col_block(3, 2)) == std::vector<double>(6, 1.5));
}

TEST_CASE("large vectors are copied and zeroed whole") {
  const auto be = engine();
  for (const std::int64_t n : {16384 * 3, 16384 * 3 + 1}) {
    const auto x = random_values("x", n);
    const Buffer y = make_poisoned(*be, Shape(n), DType::bf16);
    be->copy(y, make(*be, Shape(n), DType::f32, x));
    CHECK(values(*be, y) == doubles(rounded(x, DType::bf16)));
    be->zero(y);
    CHECK(values(*be, y) == std::vector<double>(static_cast<std::size_t>(n), 0.0));
  }
}
