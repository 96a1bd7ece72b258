// Biases, the sums over rows that are their gradients, rows times a number, and norms by heads.
#include <cmath>
#include <string>
#include <vector>

#include "engines.h"
#include "reference/ops.h"
#include "support/close.h"

using namespace lomo;
using namespace lomo::test;
namespace ref = lomo::reference;

namespace {

struct Case {
  DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  std::int64_t n = GENERATE(0, 1, 5, 300), c = GENERATE(1, 7, 64, 1032);
  std::vector<float> values(char const* name, std::int64_t count) const {
    return rounded(random_values(name, count), type);
  }
};

/// A column block of a wider matrix, with `values` in it.
struct Block {
  Block(Backend& be, Case const& k, std::vector<float> const& values)
      : wide(make_poisoned(be, {k.n, k.c + 9}, k.type)), tensor(wide.tensor().col_block(4, k.c)) {
    be.copy(tensor, make(be, {k.n, k.c}, k.type, values));
  }
  Buffer wide;
  Tensor tensor;
};

}  // namespace

TEST_CASE("a bias is added to every row, and rounded once") {
  const Case k;
  const bool with_x = GENERATE(false, true);
  const auto be = engine();
  const auto bias = k.values("bias", k.c), x = k.values("x", k.n * k.c);
  std::vector<float> wanted;
  for (std::size_t i = 0; i < x.size(); ++i) {
    wanted.push_back((with_x ? x[i] : 0.0f) + bias[i % bias.size()]);
  }
  const Block block(*be, k, x);
  be->add_bias(block.tensor, make(*be, k.c, k.type, bias), with_x ? block.tensor : Tensor());
  CHECK(values(*be, block.tensor) == doubles(rounded(wanted, k.type)));
  for (const double v : values(*be, block.wide.tensor().col_block(0, 4))) CHECK(std::isnan(v));
}

TEST_CASE("the gradient of a bias is the sum over rows") {
  const Case k;
  const auto be = engine();
  const auto dy = k.values("dy", k.n * k.c);
  std::vector<double> wanted(static_cast<std::size_t>(k.c));
  for (std::size_t i = 0; i < dy.size(); ++i) wanted[i % wanted.size()] += dy[i];
  const Block block(*be, k, dy);
  const Buffer dbias = make_poisoned(*be, k.c, DType::f32);
  be->sum_columns(dbias, block.tensor);
  check_close("dbias", values(*be, dbias), wanted, 2 * static_cast<double>(k.n) * gamma_f32(k.n),
              0);
}

TEST_CASE("rows times a number, with and without a residual") {
  const Case k;
  const bool with_residual = GENERATE(false, true);
  const float factor = 0.22f;
  const auto be = engine();
  const auto x = k.values("x", k.n * k.c), residual = k.values("residual", k.n * k.c);
  std::vector<double> wanted;
  for (std::size_t i = 0; i < x.size(); ++i) {
    wanted.push_back(static_cast<double>(factor) * x[i] + (with_residual ? residual[i] : 0.0f));
  }
  const Block block(*be, k, x);
  const Buffer add = make(*be, {k.n, k.c}, k.type, residual);
  be->scale(block.tensor, block.tensor, factor, with_residual ? add.tensor() : Tensor());
  check_close("scaled", values(*be, block.tensor), wanted, 3 * 0x1p-24 + subnormal_roundoff(k.type),
              unit_roundoff(k.type) + 2 * 0x1p-24);
}

TEST_CASE("a norm by heads is the norm of every head's columns") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(0, 1, 5, 300), heads = GENERATE(2, 5);
  const std::int64_t width = GENERATE(2, 16, 31, 128, 256);
  const bool with_residual = GENERATE(false, true);
  const std::int64_t c = heads * width;
  const auto be = engine();
  const auto take = [&](char const* name, std::int64_t k) {
    return rounded(random_values(name, k, 2), type);
  };
  const auto x = take("x", n * c), w = take("w", width), dy = take("dy", n * c);
  const auto r = take("residual", n * c);
  const Buffer wide = make_poisoned(*be, {n, c + 5}, type);
  const Tensor bx = wide.tensor().col_block(2, c);
  be->copy(bx, make(*be, {n, c}, type, x));
  const Buffer bw = make(*be, width, type, w), bdy = make(*be, {n, c}, type, dy);
  const Buffer y = make_poisoned(*be, {n, c}, type);
  const Buffer rstd = make_poisoned(*be, n * heads, DType::f32);
  const Buffer dw = make_poisoned(*be, width, DType::f32), br = make(*be, {n, c}, type, r);
  be->rmsnorm(y, rstd, bx, bw, 1e-5f);
  // dx over dy, as the model has it.
  be->rmsnorm_backward(bdy, dw, bdy, bx, bw, rstd, with_residual ? br.tensor() : Tensor());

  // The same numbers as rows of one head each.
  const auto forward = ref::rmsnorm(doubles(x), doubles(w), static_cast<double>(1e-5f));
  auto back = ref::rmsnorm_backward(doubles(dy), doubles(x), doubles(w), forward.rstd);
  for (std::size_t i = 0; with_residual && i < r.size(); ++i) back.dx[i] += r[i];
  const double u = unit_roundoff(type), error = gamma_f32(width + 6);  // of rstd, relative
  check_close("rstd", values(*be, rstd), forward.rstd, 0, error);
  check_close("y", values(*be, y), forward.y, subnormal_roundoff(type), error + gamma_f32(3) + u);
  double scale = 0;  // |w dy| <= 4 and |x rstd| <= sqrt(D), so that |mean(..)| <= 4
  for (const double v : forward.rstd) scale = std::fmax(scale, v);
  const auto root = std::sqrt(static_cast<double>(width));
  check_close("dx", values(*be, bdy), back.dx,
              scale * 4 * (1 + root) * (2 * gamma_f32(width + 8) + 2 * error) + 2 * gamma_f32(2),
              u);
  const std::int64_t terms = n * heads;
  check_close("dw", values(*be, dw), back.dw,
              2 * root * static_cast<double>(terms) * (gamma_f32(terms + 4) + error), 0);
}

TEST_CASE("a rotary embedding of a part of each head leaves the rest and scales what turns") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t pairs = GENERATE(1, 4, 24), rest = GENERATE(2, 8), heads = 3, n = 40;
  const float factor = GENERATE(1.0f, 1.2f);
  const std::int64_t turned = 2 * pairs, width = turned + rest, cols = heads * width;
  const auto be = engine();
  const auto x = rounded(random_values("x", n * cols), type);
  const auto freq = random_values("freq", pairs);
  std::vector<std::int32_t> positions;
  for (std::int32_t i = 0; i < n; ++i) positions.push_back(7 * i);
  const Buffer bx = make(*be, {n, cols}, type, x),
               whole = make_poisoned(*be, {n, heads * turned}, type);
  const auto parts = [&](auto const& f) {
    for (std::int64_t h = 0; h < heads; ++h) {
      f(whole.tensor().col_block(h * turned, turned), bx.tensor().col_block(h * width, turned));
    }
  };
  parts([&](Tensor to, Tensor from) { be->copy(to, from); });
  const Buffer bp = make_index(*be, positions), bf = make(*be, pairs, DType::f32, freq);
  const Rotation rotation = GENERATE(Rotation::forward, Rotation::inverse);
  be->rope(bx, bp, bf, rotation, {width, factor});
  be->rope(whole, bp, bf, rotation);  // heads that turn whole
  const double u = unit_roundoff(type);
  parts([&](Tensor expected, Tensor got) {
    std::vector<double> wanted = values(*be, expected);
    for (double& v : wanted) v *= static_cast<double>(factor);
    check_close("turned", values(*be, got), wanted, 8 * 0x1p-24 + subnormal_roundoff(type),
                2.5 * u + 8 * 0x1p-24);
  });
  for (std::int64_t h = 0; h < heads; ++h) {
    const Tensor behind = bx.tensor().col_block(h * width + turned, rest);
    const auto got = values(*be, behind);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < rest; ++j) {
        CHECK(got[static_cast<std::size_t>(i * rest + j)] ==
              static_cast<double>(x[static_cast<std::size_t>(i * cols + h * width + turned + j)]));
      }
    }
  }
}
