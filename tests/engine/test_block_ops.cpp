// Norm, rotary embedding and gated activation on the engine against the double reference.
#include <limits>

#include "reference/ops.h"
#include "support/catch.h"
#include "support/close.h"
#include "support/tensors.h"

using namespace lomo;
using namespace lomo::test;
namespace ref = lomo::reference;

namespace {

constexpr EngineOptions kTwoThreads{.threads = 2, .memory = 64u << 20};
constexpr EngineOptions kOneThread{.threads = 1, .memory = 64u << 20};
/// Documented relative error of the vector exponential.
constexpr double kExp = 1.5e-7;

struct NormResults {
  std::vector<double> y, rstd, dx, dw;
};
NormResults run_norm(Backend& be, DType type, std::int64_t n, std::int64_t c, float eps,
                     std::vector<float> const& x, std::vector<float> const& w,
                     std::vector<float> const& dy, std::vector<float> const* residual) {
  const Buffer bx = make(be, {n, c}, type, x), bw = make(be, c, type, w);
  const Buffer bdy = make(be, {n, c}, type, dy);
  const Buffer y = make_poisoned(be, {n, c}, type), rstd = make_poisoned(be, n, DType::f32);
  const Buffer dx = make_poisoned(be, {n, c}, type), dw = make_poisoned(be, c, DType::f32);
  be.rmsnorm(y, rstd, bx, bw, eps);
  if (residual == nullptr) {
    be.rmsnorm_backward(dx, dw, bdy, bx, bw, rstd);
  } else {
    const Buffer r = make(be, {n, c}, type, *residual);
    be.rmsnorm_backward(dx, dw, bdy, bx, bw, rstd, r);
  }
  return {values(be, y), values(be, rstd), values(be, dx), values(be, dw)};
}

}  // namespace

TEST_CASE("rmsnorm and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(0, 1, 3, 70, 1100), c = GENERATE(1, 2, 31, 288, 1040);
  const bool with_residual = GENERATE(false, true);
  const float eps = 1e-5f;
  const auto be = make_cpu_backend(kTwoThreads);
  const auto take = [&](char const* name, std::int64_t k) {
    return rounded(random_values(name, k, 2), type);
  };
  const auto x = take("x", n * c), w = take("w", c), dy = take("dy", n * c), r = take("r", n * c);
  const NormResults got = run_norm(*be, type, n, c, eps, x, w, dy, with_residual ? &r : nullptr);
  const auto forward = ref::rmsnorm(doubles(x), doubles(w), static_cast<double>(eps));
  auto back = ref::rmsnorm_backward(doubles(dy), doubles(x), doubles(w), forward.rstd);
  for (std::size_t i = 0; with_residual && i < r.size(); ++i) back.dx[i] += r[i];

  INFO(to_string(type) << " " << n << " x " << c);
  const double u = unit_roundoff(type);
  const double rstd = gamma_f32(c + 6);  // relative: the sum of squares has no cancellation
  check_close("rstd", got.rstd, forward.rstd, 0, rstd);
  check_close("y", got.y, forward.y, subnormal_roundoff(type), rstd + gamma_f32(3) + u);
  double scale = 0;  // |w dy| <= 4 and |x rstd| <= sqrt(C), so that |mean(..)| <= 4
  for (const double v : forward.rstd) scale = std::fmax(scale, v);
  const auto root = std::sqrt(static_cast<double>(c));
  check_close("dx", got.dx, back.dx,
              scale * 4 * (1 + root) * (2 * gamma_f32(c + 8) + 2 * rstd) + 2 * gamma_f32(2), u);
  check_close("dw", got.dw, back.dw, 2 * root * static_cast<double>(n) * (gamma_f32(n + 4) + rstd),
              0);
}

TEST_CASE("rmsnorm backward: in place, frozen, and the same bits on any number of threads") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = 1500, c = 45;
  const auto x = random_values("x", n * c), w = random_values("w", c);
  const auto dy = random_values("dy", n * c), r = random_values("r", n * c);
  const auto one = make_cpu_backend(kOneThread), two = make_cpu_backend(kTwoThreads);
  const NormResults a = run_norm(*one, type, n, c, 1e-6f, x, w, dy, &r);
  const NormResults b = run_norm(*two, type, n, c, 1e-6f, x, w, dy, &r);
  CHECK(a.y == b.y);
  CHECK(a.rstd == b.rstd);
  CHECK(a.dx == b.dx);
  CHECK(a.dw == b.dw);

  Backend& be = *two;
  const Buffer bx = make(be, {n, c}, type, x), bw = make(be, c, type, w);
  const Buffer rstd = make_poisoned(be, n, DType::f32), y = make_poisoned(be, {n, c}, type);
  be.rmsnorm(y, rstd, bx, bw, 1e-6f);
  const Buffer up = make(be, {n, c}, type, dy), res = make(be, {n, c}, type, r);
  be.rmsnorm_backward(up, {}, up, bx, bw, rstd, res);  // dx over dy
  CHECK(values(be, up) == b.dx);
  const Buffer up2 = make(be, {n, c}, type, dy);
  be.rmsnorm_backward(res, {}, up2, bx, bw, rstd, res);  // dx over the residual
  CHECK(values(be, res) == b.dx);
}

TEST_CASE("a NaN stays in its row of a norm") {
  const auto be = make_cpu_backend(kTwoThreads);
  auto x = random_values("x", 3 * 40);
  x[41] = std::numeric_limits<float>::quiet_NaN();
  const NormResults got = run_norm(*be, DType::bf16, 3, 40, 1e-6f, x, random_values("w", 40),
                                   random_values("dy", 3 * 40), nullptr);
  for (std::size_t i = 0; i < got.y.size(); ++i) {
    CHECK(std::isnan(got.y[i]) == (i / 40 == 1));
    CHECK(std::isnan(got.dx[i]) == (i / 40 == 1));
  }
}

TEST_CASE("rope agrees with the reference and its inverse turns back") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t half = GENERATE(1, 3, 4, 40, 64), heads = GENERATE(1, 5);
  const std::int64_t n = 300, cols = heads * 2 * half, pitch = cols + 7;
  std::vector<float> freq;
  for (std::int64_t i = 0; i < half; ++i) {
    freq.push_back(
        static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half))));
  }
  std::vector<std::int32_t> positions;
  for (std::int32_t i = 0; i < n; ++i) positions.push_back(i < 150 ? i : 131071 - 13 * i);
  const auto x = rounded(random_values("x", n * cols), type);
  const auto be = make_cpu_backend(kTwoThreads);
  const Buffer wide = make_poisoned(*be, {n, pitch}, type);
  const Tensor part = wide.tensor().col_block(3, cols);
  be->copy(part, make(*be, {n, cols}, type, x));
  const Buffer bp = make_index(*be, positions), bf = make(*be, half, DType::f32, freq);
  be->rope(part, bp, bf, Rotation::forward);
  // Two products with a sine and a cosine, each wrong by at most 2e-7.
  const double u = unit_roundoff(type), kTurn = 2 * (2e-7 + gamma_f32(3));
  check_close("forward", values(*be, part), ref::rope(doubles(x), positions, doubles(freq), heads),
              kTurn, u);
  be->rope(part, bp, bf, Rotation::inverse);
  check_close("back again", values(*be, part), doubles(x), 3 * (kTurn + 1.5 * u), 0);
  for (const double v : values(*be, wide.tensor().col_block(3 + cols, 4))) {
    CHECK(std::isnan(v));  // the columns beside are not touched
  }
}

TEST_CASE("swiglu and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(0, 1, 5, 130), f = GENERATE(1, 17, 768);
  const float scale = GENERATE(1.0f, 100.0f);  // 100: e^-g overflows and vanishes
  const auto be = make_cpu_backend(kTwoThreads);
  const auto gu = rounded(random_values("gate_up", n * 2 * f, scale), type);
  const auto d = rounded(random_values("d_act", n * f), type);
  const Buffer bgu = make(*be, {n, 2 * f}, type, gu), bd = make(*be, {n, f}, type, d);
  const Buffer act = make_poisoned(*be, {n, f}, type), dgu = make_poisoned(*be, {n, 2 * f}, type);
  be->swiglu(act, bgu);
  be->swiglu_backward(dgu, bd, bgu);
  const double u = unit_roundoff(type);
  const double kSigmoid = kExp + gamma_f32(4), kTiny = 1e-36 * scale * scale;
  check_close("act", values(*be, act), ref::swiglu(doubles(gu), f),
              kTiny + subnormal_roundoff(type), kSigmoid + gamma_f32(2) + u);
  // silu' = s + g s (1 - s) nearly cancels at its zero; each part is at most 1.
  check_close("d_gate_up", values(*be, dgu), ref::swiglu_backward(doubles(d), doubles(gu), f),
              2.0 * scale * (2 * kSigmoid + gamma_f32(6)), u);
  const auto expected = bits(*be, dgu);
  be->swiglu_backward(bgu, bd, bgu);  // in place
  CHECK(bits(*be, bgu) == expected);
}
