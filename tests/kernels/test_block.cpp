// Norm, rotary embedding and gated activation against the double reference.
#include "device.h"
#include "kernels/norm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "reference/ops.h"
#include "support/close.h"

using namespace lomo;
using namespace lomo::test;
namespace ref = lomo::reference;

namespace {
/// Relative error of the device's exp and of its quick division, in hardware and emulated.
constexpr double kExp = 3e-7;
}  // namespace

TEST_CASE("kernels: rmsnorm and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(1, 5, 70), c = GENERATE(1, 31, 288, 2056);
  const bool with_residual = GENERATE(false, true);
  const float eps = 1e-5f;
  const auto take = [&](char const* name, std::int64_t k) {
    return rounded(random_values(name, k, 2), type);
  };
  const auto x = take("x", n * c), w = take("w", c), dy = take("dy", n * c), r = take("r", n * c);
  const auto forward = ref::rmsnorm(doubles(x), doubles(w), static_cast<double>(eps));
  auto back = ref::rmsnorm_backward(doubles(dy), doubles(x), doubles(w), forward.rstd);
  for (std::size_t i = 0; with_residual && i < r.size(); ++i) back.dx[i] += r[i];
  for (Layout const& l : layouts()) {
    INFO(to_string(type) << " " << n << " x " << c << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const kernels::Storage s = storage_of(type);
      const DeviceMatrix mx(type, n, c, x, l.gap, l.shift), mdy(type, n, c, dy, l.gap, l.shift);
      const DeviceMatrix mw(type, 1, c, w), mr(type, n, c, r, l.gap, l.shift);
      const DeviceMatrix y(type, n, c, l.gap, l.shift), dx(type, n, c, l.gap, l.shift);
      const DeviceMatrix rstd(DType::f32, 1, n), dw(DType::f32, 1, c);
      auto* const rs = static_cast<float*>(rstd.address());
      const auto space = scratch(kernels::rmsnorm_backward_workspace(n, c));
      require(kernels::rmsnorm(s, y, rs, mx, mw.address(), eps, n, c, nullptr, l.variant));
      const kernels::In residual = with_residual ? kernels::In(mr) : kernels::In();
      require(kernels::rmsnorm_backward(s, dx, static_cast<float*>(dw.address()), mdy, mx,
                                        mw.address(), rs, residual, space, n, c, nullptr,
                                        l.variant));
      // Over dy and without dw: the same dx.
      require(kernels::rmsnorm_backward(s, mdy, nullptr, mdy, mx, mw.address(), rs, residual,
                                        nullptr, n, c, nullptr, l.variant));
      return {y.get(), rstd.get(), dx.get(), dw.get(), mdy.get()};
    });
    const double u = unit_roundoff(type);
    const double tiny = type == DType::f16 ? 0x1p-25 : 0;  // half a quantum of its subnormals
    const double rstd = gamma_f32(c + 6);  // relative: the sum of squares has no cancellation
    check_close("rstd", got[1], forward.rstd, 0, rstd);
    check_close("y", got[0], forward.y, tiny, rstd + gamma_f32(3) + u);
    double scale = 0;  // |w dy| <= 4 and |x rstd| <= sqrt(C), so that |mean(..)| <= 4
    for (const double v : forward.rstd) scale = std::fmax(scale, v);
    const auto root = std::sqrt(static_cast<double>(c));
    check_close(
        "dx", got[2], back.dx,
        tiny + scale * 4 * (1 + root) * (2 * gamma_f32(c + 8) + 2 * rstd) + 2 * gamma_f32(2), u);
    check_close("dw", got[3], back.dw,
                2 * root * static_cast<double>(n) * (gamma_f32(n + 4) + rstd), 0);
    CHECK(got[4] == got[2]);
  }
}

TEST_CASE("kernels: rmsnorm backward of rows too wide for shared memory, and of many rows") {
  const std::int64_t n = GENERATE(3, 1100), c = n == 3 ? 11272 : 40;
  const auto x = random_values("x", n * c), w = random_values("w", c),
             dy = random_values("dy", n * c);
  const auto forward = ref::rmsnorm(doubles(x), doubles(w), 1e-5);
  const auto back = ref::rmsnorm_backward(doubles(dy), doubles(x), doubles(w), forward.rstd);
  const Results got = in_all_orders([&]() -> Results {
    const DeviceMatrix mx(DType::f32, n, c, x), mdy(DType::f32, n, c, dy);
    const DeviceMatrix mw(DType::f32, 1, c, w), dx(DType::f32, n, c), dw(DType::f32, 1, c);
    std::vector<float> rstd(forward.rstd.begin(), forward.rstd.end());
    const DeviceVector<float> rs(rstd);
    const auto space = scratch(kernels::rmsnorm_backward_workspace(n, c));
    require(kernels::rmsnorm_backward(kernels::Storage::f32, dx, static_cast<float*>(dw.address()),
                                      mdy, mx, mw.address(), rs, {}, space, n, c, nullptr));
    return {dx.get(), dw.get()};
  });
  double scale = 0;
  for (const double v : forward.rstd) scale = std::fmax(scale, v);
  const auto root = std::sqrt(static_cast<double>(c));
  check_close("dx", got[0], back.dx, scale * (1 + root) * 4 * gamma_f32(c + 8), gamma_f32(2));
  check_close("dw", got[1], back.dw, root * static_cast<double>(n) * 2 * gamma_f32(n + 8), 0);
}

TEST_CASE("kernels: rope agrees with the reference and its inverse turns back") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t half = GENERATE(1, 4, 40, 64), heads = GENERATE(1, 5);
  const std::int64_t n = 60, cols = heads * 2 * half;
  std::vector<float> freq;
  for (std::int64_t i = 0; i < half; ++i) {
    freq.push_back(
        static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half))));
  }
  std::vector<std::int32_t> positions;
  for (std::int32_t i = 0; i < n; ++i) positions.push_back(i < 30 ? i : 131071 - 13 * i);
  const auto x = rounded(random_values("x", n * cols), type);
  for (Layout const& l : layouts()) {
    INFO(to_string(type) << " " << heads << " heads of " << 2 * half << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const DeviceMatrix m(type, n, cols, x, l.gap, l.shift);
      const DeviceVector<std::int32_t> p(positions);
      const DeviceVector<float> f(freq);
      const kernels::Storage s = storage_of(type);
      require(kernels::rope(s, m, p, f, {n, heads, 2 * half, half}, 1, 1, nullptr, l.variant));
      auto turned = m.get();
      require(kernels::rope(s, m, p, f, {n, heads, 2 * half, half}, -1, 1, nullptr, l.variant));
      return {turned, m.get()};
    });
    // Two products with a sine and a cosine, each wrong by at most 2e-7.
    const double u = unit_roundoff(type), kTurn = 2 * (2e-7 + gamma_f32(3));
    check_close("forward", got[0], ref::rope(doubles(x), positions, doubles(freq), heads), kTurn,
                u);
    check_close("back again", got[1], doubles(x), 3 * (kTurn + 1.5 * u), 0);
  }
}

TEST_CASE("kernels: swiglu and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(1, 5, 67), f = GENERATE(1, 17, 768);
  const float scale = GENERATE(1.0f, 100.0f);  // 100: e^-g overflows and vanishes
  const auto gu = rounded(random_values("gate_up", n * 2 * f, scale), type);
  const auto d = rounded(random_values("d_act", n * f), type);
  for (Layout const& l : layouts()) {
    INFO(to_string(type) << " " << n << " x " << f << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const kernels::Storage s = storage_of(type);
      const DeviceMatrix mgu(type, n, 2 * f, gu, l.gap, l.shift), md(type, n, f, d, l.gap, l.shift);
      const DeviceMatrix act(type, n, f, l.gap, l.shift), dgu(type, n, 2 * f, l.gap, l.shift);
      require(kernels::swiglu(s, act, mgu, n, f, nullptr, l.variant));
      require(kernels::swiglu_backward(s, dgu, md, mgu, n, f, nullptr, l.variant));
      require(kernels::swiglu_backward(s, mgu, md, mgu, n, f, nullptr, l.variant));  // in place
      return {act.get(), dgu.get(), mgu.get()};
    });
    const double u = unit_roundoff(type);
    const double kSigmoid = kExp + gamma_f32(4);
    const double tiny = 1e-36 * scale * scale + (type == DType::f16 ? 0x1p-25 : 0);
    check_close("act", got[0], ref::swiglu(doubles(gu), f), tiny, kSigmoid + gamma_f32(2) + u);
    // silu' = s + g s (1 - s) nearly cancels at its zero; each part is at most 1.
    check_close("d_gate_up", got[1], ref::swiglu_backward(doubles(d), doubles(gu), f),
                tiny + 2.0 * scale * (2 * kSigmoid + gamma_f32(6)), u);
    CHECK(got[2] == got[1]);
  }
}
