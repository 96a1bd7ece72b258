// Row lists, conversions and the blocks of the head against plain loops and the double reference.
#include "device.h"
#include "kernels/convert.h"
#include "kernels/cross_entropy.h"
#include "kernels/rows.h"
#include "reference/ops.h"
#include "support/close.h"

using namespace lomo;
using namespace lomo::test;
namespace ref = lomo::reference;

TEST_CASE("kernels: gather and scatter move rows") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const std::int64_t c = GENERATE(1, 24, 517);
  const std::vector<std::int32_t> index{5, 0, 3, 9, 6};
  const std::int64_t m = 5, k = 11;
  const auto x = rounded(random_values("x", k * c), type);
  for (Layout const& l : layouts()) {
    INFO(to_string(type) << " " << c << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const int size = static_cast<int>(size_of(type));
      const DeviceMatrix mx(type, k, c, x, l.gap, l.shift), y(type, m, c, l.gap, l.shift);
      const DeviceMatrix z(type, k, c, std::vector<float>(static_cast<std::size_t>(k * c), 7.0f));
      const DeviceVector<std::int32_t> list(index);
      require(kernels::gather_rows(size, y, mx, list, m, c, nullptr, l.variant));
      require(kernels::scatter_rows(size, z, y, list, m, c, nullptr, l.variant));
      return {y.get(), z.get()};
    });
    std::vector<double> scattered(static_cast<std::size_t>(k * c), 7.0);
    for (std::size_t i = 0; i < index.size(); ++i) {
      for (std::int64_t j = 0; j < c; ++j) {
        const auto from = static_cast<std::size_t>(index[i] * c + j);
        scattered[from] = static_cast<double>(x[from]);
        CHECK(got[0][i * static_cast<std::size_t>(c) + static_cast<std::size_t>(j)] ==
              static_cast<double>(x[from]));
      }
    }
    CHECK(got[1] == scattered);
  }
}

TEST_CASE("kernels: sums over equal ids run in list order, and go to their rows of a tile") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t c = GENERATE(1, 40, 300), n = 37;
  const std::vector<std::int32_t> segments{0, 1, 1, 30, 37}, index{2, 90, 17, 9};
  const std::int64_t first = 2, tile = 16;
  std::vector<std::int32_t> order;
  for (std::int32_t i = 0; i < n; ++i) order.push_back((i * 11 + 5) % static_cast<std::int32_t>(n));
  const auto dy = rounded(random_values("dy", n * c), type);
  const auto g = random_values("g", tile * c);
  std::vector<float> sums, expected = g;
  for (std::size_t u = 0; u + 1 < segments.size(); ++u) {
    for (std::int64_t j = 0; j < c; ++j) {
      float sum = 0;
      for (std::int32_t i = segments[u]; i < segments[u + 1]; ++i) {
        sum += dy[static_cast<std::size_t>(order[static_cast<std::size_t>(i)] * c + j)];
      }
      sums.push_back(sum);
      const std::int64_t row = index[u] - first;
      if (row >= 0 && row < tile) expected[static_cast<std::size_t>(row * c + j)] += sum;
    }
  }
  for (Layout const& l : layouts()) {
    INFO(to_string(type) << " " << c << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const DeviceMatrix mdy(type, n, c, dy, l.gap, l.shift), mg(DType::f32, tile, c, g, l.gap);
      const DeviceMatrix out(DType::f32, 4, c, l.gap, l.shift);
      const DeviceVector<std::int32_t> o(order), s(segments), i(index);
      require(kernels::sum_rows(storage_of(type), out, mdy, o, s, 4, c, nullptr, l.variant));
      require(kernels::add_rows(mg, out, i, first, tile, 4, c, nullptr, l.variant));
      return {out.get(), mg.get()};
    });
    CHECK(got[0] == doubles(sums));
    CHECK(got[1] == doubles(expected));
  }
}

TEST_CASE("kernels: conversions round once, to nearest") {
  const std::int64_t n = 5, c = GENERATE(1, 24, 77);
  auto x = random_values("x", n * c, 3);
  x[0] = 1e-7f;  // subnormal in f16
  const std::vector<DType> types{DType::f32, DType::bf16, DType::f16};
  const auto number = [](DType t) {
    return t == DType::bf16 ? kernels::Number::bf16
                            : (t == DType::f16 ? kernels::Number::f16 : kernels::Number::f32);
  };
  for (const DType from : types) {
    for (const DType to : types) {
      for (Layout const& l : layouts()) {
        INFO(to_string(from) << " to " << to_string(to) << " " << c << " " << l.name);
        const Results got = in_all_orders([&]() -> Results {
          const DeviceMatrix src(from, n, c, x, l.gap, l.shift), dst(to, n, c, l.gap, l.shift);
          require(kernels::convert(number(to), dst, number(from), src, n, c, nullptr, l.variant));
          return {dst.get()};
        });
        CHECK(got[0] == doubles(rounded(rounded(x, from), to)));
      }
    }
  }
}

TEST_CASE("kernels: f64 is rounded to 16 bits as if in one step") {
  // Halfway between two neighbours in the narrow type once the last bits of the double are gone.
  const std::vector<double> x{1 + 0x1p-8 + 0x1p-40,
                              1 + 0x1p-8,
                              1 + 0x1p-11 + 0x1p-40,
                              -1 - 0x1p-8 - 0x1p-40,
                              1e300,
                              0x1p-150,
                              -0.0,
                              3.5};
  cuda_host::reset();
  const auto n = static_cast<std::int64_t>(x.size());
  const DeviceVector<double> src(x);
  const DeviceMatrix b(DType::bf16, 1, n), h(DType::f16, 1, n);
  using kernels::Number;
  const kernels::In in{src, n};
  require(kernels::convert(Number::bf16, b, Number::f64, in, 1, n, nullptr));
  require(kernels::convert(Number::f16, h, Number::f64, in, 1, n, nullptr));
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(b.get() == std::vector<double>{1 + 0x1p-7, 1, 1, -1 - 0x1p-7, inf, 0, 0, 3.5});
  CHECK(h.get() ==
        std::vector<double>{1 + 0x1p-8, 1 + 0x1p-8, 1 + 0x1p-10, -1 - 0x1p-8, inf, 0, 0, 3.5});
}

TEST_CASE("kernels: cross-entropy over blocks agrees with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t n = GENERATE(1, 9), vocab = GENERATE(1, 517, 2056),
                     block = GENERATE(512, 3000);
  const float scale = GENERATE(1.0f, 50.0f);
  const auto z = random_values("z", n * vocab, scale);
  std::vector<std::int32_t> targets;
  for (std::int64_t i = 0; i < n; ++i) {
    targets.push_back(static_cast<std::int32_t>(i * 1009 % vocab));
  }
  const auto forward = ref::cross_entropy(doubles(z), targets, vocab, block);
  const auto back = ref::cross_entropy_backward(doubles(z), forward.lse, targets, vocab, 0.25);
  for (Layout const& l : layouts()) {
    INFO(to_string(type) << " " << n << " x " << vocab << " by " << block << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const DeviceMatrix running(DType::f32, n, 3), loss(DType::f32, 1, n), lse(DType::f32, 1, n);
      const DeviceVector<std::int32_t> t(targets);
      const DeviceMatrix mz(DType::f32, n, vocab, z, l.gap, l.shift);
      const DeviceMatrix dz(type, n, vocab, l.gap, l.shift);
      auto* const state = static_cast<float*>(running.address());
      auto* const sums = static_cast<float*>(lse.address());
      const auto at = [&](DeviceMatrix const& m, DType dtype, std::int64_t first) {
        return kernels::Out{static_cast<unsigned char*>(m.address()) +
                                first * static_cast<std::int64_t>(size_of(dtype)),
                            kernels::In(m).pitch};
      };
      require(kernels::cross_entropy_begin(state, n, nullptr));
      for (std::int64_t first = 0; first < vocab; first += block) {
        require(kernels::cross_entropy_block(state, at(mz, DType::f32, first), t, first, n,
                                             std::min(block, vocab - first), nullptr, l.variant));
      }
      require(
          kernels::cross_entropy_end(static_cast<float*>(loss.address()), sums, state, n, nullptr));
      for (std::int64_t first = 0; first < vocab; first += block) {
        require(kernels::cross_entropy_backward(
            storage_of(type), at(dz, type, first), at(mz, DType::f32, first), sums, t, first, 0.25f,
            n, std::min(block, vocab - first), nullptr, l.variant));
      }
      return {lse.get(), loss.get(), dz.get()};
    });
    // exp of a difference of numbers up to `scale` and a log of up to `vocab` terms.
    const double u = unit_roundoff(type), kExp = 3e-7;
    const double tiny = type == DType::f16 ? 0x1p-25 : 0;
    const double sum = kExp + gamma_f32(vocab + 8) + 4 * scale * 0x1p-24;
    check_close("lse", got[0], forward.lse, sum, 4 * 0x1p-24);
    check_close("loss", got[1], forward.loss, sum, 4 * 0x1p-24);
    check_close("dz", got[2], back, tiny + 0.25 * (2 * sum + 4 * 0x1p-24 * scale), u);
  }
}
