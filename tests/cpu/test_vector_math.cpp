// The vector functions of every kernel set this machine can run.
#include <cmath>
#include <limits>

#include "kernels.h"
#include "support/catch.h"

using namespace lomo;
using namespace lomo::cpu;

TEST_CASE("the vector exponential keeps its documented error") {
  constexpr double kRelative = 1.5e-7;
  constexpr double kAbsolute = 0x1p-126;  // where the result is denormal
  std::vector<float> x;
  for (float v = -110; v < 88.72f; v += 0x1p-13f) x.push_back(v);  // 1.6 million points
  for (float v = 1e-30f; v < 1; v *= 1.01f) {
    x.push_back(v);
    x.push_back(-v);
  }
  std::vector<float> y(x.size());
  for (Kernels const* set : kernel_sets()) {
    INFO(set->name);
    set->exp(y.data(), x.data(), static_cast<std::int64_t>(x.size()));
    double worst = 0;
    std::size_t bad = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      const double error = std::fabs(static_cast<double>(y[i]) - exact);
      if (exact >= kAbsolute) worst = std::fmax(worst, error / exact);
      if (!(error <= std::fmax(kRelative * exact, exact < kAbsolute ? kAbsolute : 0))) ++bad;
    }
    INFO("largest relative error " << worst);
    CHECK(bad == 0);
    CHECK(worst > 0);
  }
}

TEST_CASE("the vector exponential at its ends") {
  const float inf = std::numeric_limits<float>::infinity();
  for (Kernels const* set : kernel_sets()) {
    INFO(set->name);
    const std::vector<float> x{0, -0.0f, inf, -inf, std::nanf(""), 89, 1e30f, -106, -1e30f};
    std::vector<float> y(x.size());
    set->exp(y.data(), x.data(), static_cast<std::int64_t>(x.size()));
    CHECK(y[0] == 1);
    CHECK(y[1] == 1);
    CHECK(y[2] == inf);
    CHECK(y[3] == 0);
    CHECK(std::isnan(y[4]));
    CHECK(y[5] == inf);
    CHECK(y[6] == inf);
    CHECK(y[7] == 0);
    CHECK(y[8] == 0);
  }
}

TEST_CASE("sines and cosines stay accurate at far positions") {
  constexpr double kAbsolute = 2e-7;
  std::vector<float> freq;
  for (int i = 0; i < 67; ++i) freq.push_back(static_cast<float>(std::pow(10000.0, -i / 67.0)));
  std::vector<float> sine(freq.size()), cosine(freq.size());
  for (Kernels const* set : kernel_sets()) {
    INFO(set->name);
    double worst = 0;
    for (std::int32_t position = -(1 << 17); position <= (1 << 20); position += 997) {
      set->sine_cosine(sine.data(), cosine.data(), position, freq.data(),
                       static_cast<std::int64_t>(freq.size()));
      for (std::size_t i = 0; i < freq.size(); ++i) {
        const double angle = position * static_cast<double>(freq[i]);
        const double error =
            std::fmax(std::fabs(sine[i] - std::sin(angle)), std::fabs(cosine[i] - std::cos(angle)));
        worst = error <= worst ? worst : error;  // NaN becomes the worst
      }
    }
    INFO("largest error " << worst);
    CHECK(worst <= kAbsolute);
  }
}

TEST_CASE("every kernel set computes the same attention chunk to rounding error") {
  constexpr std::int64_t queries = 45, width = 10;
  std::vector<float> q(queries * width), out(q.size()), lse(queries);
  std::vector<std::int32_t> positions(queries);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
  std::vector<float> scratch(static_cast<std::size_t>(workspace::attention_values(width)));
  std::vector<float> first;
  for (Kernels const* set : kernel_sets()) {
    AttentionChunk<float> chunk;
    chunk.q = chunk.k = chunk.v = q.data();
    chunk.q_pitch = chunk.k_pitch = chunk.v_pitch = chunk.out_pitch = width;
    chunk.q_positions = chunk.k_positions = positions.data();
    chunk.queries = chunk.keys = queries;
    chunk.width = width;
    chunk.lse = lse.data();
    chunk.lse_pitch = 1;
    chunk.out = out.data();
    chunk.scratch = scratch.data();
    set->f32.attention(chunk);
    if (first.empty()) first = out;
    for (std::size_t i = 0; i < out.size(); ++i) {
      INFO(set->name << " " << i);
      // Scores up to D: their error, and that of two exponentials, relative to outputs below 1.
      REQUIRE(std::fabs(out[i] - first[i]) <= 4 * (width * (width + 3) * 0x1p-24 + 3e-7));
    }
  }
}

TEST_CASE("every kernel set reads and rounds f16 as lomo/core/dtype.h does") {
  const std::vector<float> zero(4, 0.0f), one(4, 1.0f);
  constexpr std::int64_t kHalf = 4;
  for (Kernels const* set : kernel_sets()) {
    INFO(set->name);
    for (std::uint32_t bits = 0; bits < 0x7c00u; bits += 2 * kHalf) {
      std::vector<f16> x(2 * kHalf);
      for (std::uint32_t i = 0; i < 2 * kHalf; ++i) {
        x[i].bits = static_cast<std::uint16_t>((bits + i) | (i % 2 == 0 ? 0x8000u : 0));
      }
      std::vector<f16> turned = x;
      set->f16s.rotate(turned.data(), zero.data(), one.data(), 1, 2 * kHalf, kHalf);  // by no angle
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (to_float(turned[i]) != to_float(x[i])) FAIL("f16 " << x[i].bits);
      }
    }
    // 1e-8 ... 1e6: subnormal, normal and infinite results of a row of the softmax's gradient.
    std::vector<float> z;
    for (float v = -18; v < 14; v += 0x1p-7f) z.push_back(v);
    const auto n = static_cast<std::int64_t>(z.size());
    std::vector<f16> dz(z.size());
    std::vector<float> exact(z.size());
    set->f16s.cross_entropy_backward(dz.data(), z.data(), 0, 1, -1, n);
    set->f32.cross_entropy_backward(exact.data(), z.data(), 0, 1, -1, n);
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (dz[i].bits != to_f16(exact[i]).bits) FAIL("e^" << z[i]);
    }
    set->f16s.cross_entropy_backward(dz.data(), std::vector<float>(1, std::nanf("")).data(), 0, 1,
                                     -1, 1);
    CHECK(std::isnan(to_float(dz[0])));
  }
}
