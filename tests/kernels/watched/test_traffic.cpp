// How the tuned kernels use memory, counted instruction by instruction.
#include "kernels/adalomo.h"
#include "kernels/attention.h"
#include "kernels/convert.h"
#include "kernels/cross_entropy.h"
#include "kernels/norm.h"
#include "kernels/partials.h"
#include "kernels/rope.h"
#include "kernels/rows.h"
#include "kernels/squared_norm.h"
#include "kernels/swiglu.h"
#include "kernels/update.h"
#include "support/attention_cases.h"
#include "traffic.h"

using namespace lomo;
using namespace lomo::test;

namespace {

float* floats(DeviceMatrix const& m) {
  return static_cast<float*>(m.address());
}

DeviceMatrix random_matrix(DType type, std::int64_t rows, std::int64_t cols) {
  return DeviceMatrix(type, rows, cols, random_values("x", rows * cols));
}

}  // namespace

TEST_CASE("traffic: rmsnorm") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const kernels::Storage s = storage_of(type);
  const std::int64_t n = 6, c = 2304;
  check_traffic([&] {
    const DeviceMatrix x = random_matrix(type, n, c), w = random_matrix(type, 1, c);
    const DeviceMatrix y(type, n, c), rstd(DType::f32, 1, n);
    require(kernels::rmsnorm(s, y, floats(rstd), x, w.address(), 1e-5f, n, c, nullptr));
  });
  check_traffic([&] {
    const DeviceMatrix x = random_matrix(type, n, c), w = random_matrix(type, 1, c);
    const DeviceMatrix dy = random_matrix(type, n, c), r = random_matrix(type, n, c);
    const DeviceMatrix rstd = random_matrix(DType::f32, 1, n);
    const DeviceMatrix dx(type, n, c), dw(DType::f32, 1, c);
    const auto space = scratch(kernels::rmsnorm_backward_workspace(n, c));
    require(kernels::rmsnorm_backward(s, dx, floats(dw), dy, x, w.address(), floats(rstd), r, space,
                                      n, c, nullptr));
  });
}

TEST_CASE("traffic: rope") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const std::int64_t half = GENERATE(32, 64), heads = 6, n = 3;
  check_traffic([&] {
    const DeviceMatrix x = random_matrix(type, n, heads * 2 * half);
    const DeviceVector<std::int32_t> positions({0, 7, 1000});
    const DeviceMatrix freq = random_matrix(DType::f32, 1, half);
    require(kernels::rope(storage_of(type), x, positions, floats(freq), {n, heads, 2 * half, half},
                          1, 1, nullptr));
  });
}

TEST_CASE("traffic: swiglu") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const kernels::Storage s = storage_of(type);
  const std::int64_t n = 5, f = 2816;
  check_traffic([&] {
    const DeviceMatrix gate_up = random_matrix(type, n, 2 * f), act(type, n, f);
    require(kernels::swiglu(s, act, gate_up, n, f, nullptr));
  });
  check_traffic([&] {
    const DeviceMatrix gate_up = random_matrix(type, n, 2 * f), d = random_matrix(type, n, f);
    require(kernels::swiglu_backward(s, gate_up, d, gate_up, n, f, nullptr));
  });
}

TEST_CASE("traffic: rows") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const int size = static_cast<int>(size_of(type));
  const std::int64_t n = 8, c = 1056;
  const std::vector<std::int32_t> index{3, 11, 0, 7, 5, 2, 9, 1};
  check_traffic([&] {
    const DeviceMatrix x = random_matrix(type, 12, c), y(type, n, c);
    const DeviceVector<std::int32_t> i(index);
    require(kernels::gather_rows(size, y, x, i, n, c, nullptr));
    require(kernels::scatter_rows(size, x, y, i, n, c, nullptr));
  });
  check_traffic([&] {
    const DeviceMatrix dy = random_matrix(type, 12, c), sums(DType::f32, 3, c);
    const DeviceMatrix g = random_matrix(DType::f32, 16, c);
    const DeviceVector<std::int32_t> order(index), segments({0, 4, 5, 8}), rows({2, 90, 5});
    require(kernels::sum_rows(storage_of(type), sums, dy, order, segments, 3, c, nullptr));
    require(kernels::add_rows(g, sums, rows, 1, 16, 3, c, nullptr));
  });
}

TEST_CASE("traffic: conversions") {
  const std::vector<std::pair<DType, kernels::Number>> types{{DType::f32, kernels::Number::f32},
                                                             {DType::bf16, kernels::Number::bf16},
                                                             {DType::f16, kernels::Number::f16}};
  for (auto const& [from, from_number] : types) {
    for (auto const& [to, to_number] : types) {
      INFO(to_string(from) << " to " << to_string(to));
      check_traffic([&, from = from, to = to, from_number = from_number, to_number = to_number] {
        const DeviceMatrix x = random_matrix(from, 3, 1152), y(to, 3, 1152);
        require(kernels::convert(to_number, y, from_number, x, 3, 1152, nullptr));
      });
    }
  }
}

TEST_CASE("traffic: cross-entropy") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const std::int64_t n = 8, v = 2048;
  check_traffic([&] {
    const DeviceMatrix z = random_matrix(DType::f32, n, v), dz(type, n, v);
    const DeviceMatrix running(DType::f32, n, 3), loss(DType::f32, 1, n), lse(DType::f32, 1, n);
    const DeviceVector<std::int32_t> targets({0, 5, 2047, 9, 1, 1, 3, 4000});
    require(kernels::cross_entropy_begin(floats(running), n, nullptr));
    require(kernels::cross_entropy_block(floats(running), z, targets, 0, n, v, nullptr));
    require(kernels::cross_entropy_end(floats(loss), floats(lse), floats(running), n, nullptr));
    require(kernels::cross_entropy_backward(storage_of(type), dz, z, floats(lse), targets, 0, 1.0f,
                                            n, v, nullptr));
  });
}

TEST_CASE("traffic: updates") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const bool stochastic = GENERATE(false, true);
  const kernels::Storage s = storage_of(type);
  const std::int64_t n = 4, c = 1056;
  kernels::RoundingRule rounding;
  rounding.stochastic = stochastic;
  check_traffic([&] {
    const DeviceMatrix w = random_matrix(type, n, c), g = random_matrix(DType::f32, n, c);
    require(kernels::sgd_update(s, w, {g}, 0.1f, 1.0f, {}, rounding, nullptr, nullptr, nullptr, n,
                                c, nullptr));
  });
  check_traffic([&] {
    const DeviceMatrix w = random_matrix(type, 12, c), g = random_matrix(DType::f32, n, c);
    const DeviceVector<std::int32_t> rows({3, 11, 0, 7});
    require(kernels::sgd_update(s, w, {g}, 0.1f, 1.0f, {}, rounding, nullptr, rows, nullptr, n, c,
                                nullptr));
  });
  for (const DType comm_dtype : {DType::f32, DType::bf16}) {
    check_traffic([&] {
      const DeviceMatrix w = random_matrix(type, n, c),
                         partials = random_matrix(comm_dtype, 3 * n, c);
      require(kernels::sgd_update(s, w, {partials, 3, storage_of(comm_dtype)}, 0.1f, 1.0f, {},
                                  rounding, nullptr, nullptr, nullptr, n, c, nullptr));
    });
  }
  check_traffic([&] {
    const DeviceMatrix w = random_matrix(type, n, c), g = random_matrix(DType::f32, n, c);
    const DeviceMatrix m = random_matrix(DType::f32, n, c);
    const DeviceMatrix v(DType::f32, n, c, std::vector<float>(static_cast<std::size_t>(n * c), 1));
    require(kernels::momentum_update(m, g, 0.9f, {}, nullptr, n, c, nullptr));
    require(kernels::adamw_update(s, w, m, v, g, {0.1f, 1, 0.9f, 0.9f, 1e-8f, 1}, {}, rounding,
                                  nullptr, nullptr, n, c, nullptr));
  });
}

TEST_CASE("traffic: updates that keep rounding statistics") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const std::int64_t n = 4, c = 1056;
  check_traffic([&] {
    const DeviceMatrix w = random_matrix(type, n, c), g = random_matrix(DType::f32, n, c);
    const DeviceVector<double> rounding_stats(std::vector<double>(4));
    const auto space = scratch(kernels::rounding_stats_workspace(n, c));
    kernels::RoundingRule rounding;
    rounding.stochastic = true;
    rounding.rounding_stats = rounding_stats;
    require(kernels::sgd_update(storage_of(type), w, {g}, 0.1f, 1.0f, {}, rounding, nullptr,
                                nullptr, space, n, c, nullptr));
  });
}

TEST_CASE("traffic: sums") {
  const std::int64_t n = 72, c = 1024;
  check_traffic([&] {
    const DeviceMatrix a = random_matrix(DType::f32, n, c), b = random_matrix(DType::f32, n, c);
    const DeviceVector<double> stats(std::vector<double>(2)), sums(std::vector<double>(2));
    const auto space = scratch(kernels::inner_product_workspace(n, c));
    require(kernels::accumulate_squared_norm(stats, a, 1.0f, space, n, c, nullptr));
    require(kernels::inner_product(sums, a, b, 1.0, space, n, c, nullptr));
    require(kernels::sum(stats, floats(a), n * c, nullptr));
  });
}

TEST_CASE("traffic: partial sums of ranks") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const std::int64_t ranks = 3, n = 4, c = 1056;
  check_traffic([&] {
    const DeviceMatrix partials = random_matrix(type, ranks * n, c), out(DType::f32, n, c);
    require(kernels::sum_partials(storage_of(type), out, partials, ranks, n, c, nullptr));
  });
}

TEST_CASE("traffic: AdaLomo") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const kernels::Storage s = storage_of(type);
  const std::int64_t n = 72, c = 1024;
  check_traffic([&] {
    const DeviceMatrix g = random_matrix(DType::f32, n, c), row(DType::f32, 1, n);
    const DeviceMatrix col(DType::f32, 1, c);
    const auto space = scratch(kernels::square_sums_workspace(n, c));
    require(kernels::square_sums(floats(row), floats(col), g, {}, space, n, c, nullptr));
    require(
        kernels::decay_average(floats(col), floats(col), 0.9f, 1.0f, 1e-30f, nullptr, c, nullptr));
  });
  check_traffic([&] {
    const DeviceMatrix w = random_matrix(type, n, c), g = random_matrix(DType::f32, n, c);
    const DeviceMatrix row(DType::f32, 1, n, std::vector<float>(static_cast<std::size_t>(n), 1));
    const DeviceMatrix col(DType::f32, 1, c, std::vector<float>(static_cast<std::size_t>(c), 1));
    const DeviceVector<double> total({static_cast<double>(n)}), sums(std::vector<double>(2));
    const auto space = scratch(kernels::adalomo_statistics_workspace(n, c));
    const kernels::SecondMoment moment{floats(row), floats(col), total, n, n * c};
    require(kernels::adalomo_statistics(s, sums, w, g, moment, {}, space, n, c, nullptr));
    require(kernels::adalomo_update(s, w, g, sums, moment, {0.1f, 0, 1, 1e-3f}, {}, {}, nullptr,
                                    space, n, c, nullptr));
  });
}

TEST_CASE("traffic: attention") {
  const std::int64_t width = GENERATE(64, 128);
  const auto rows = attention::ragged({3, 150, 128});
  const attention::Case c{"", rows, rows, 16, 8, width};
  const auto n = static_cast<std::int64_t>(c.q.positions.size());
  const std::int64_t hd = c.heads * width, gd = c.kv_heads * width;
  const kernels::AttentionShape shape{3, c.heads, c.kv_heads, width, 0.1f};
  // lse is (N,H): a head's value of a row is alone in its sector, 7 / 8 of one more than its bytes
  // need. The forward writes it beside D / 16 sectors each of q, k, v and out; the backward's
  // owners of keys read it beside those of q and dout.
  const double row = static_cast<double>(width) / 16;
  const double forward = 7.0 / 8 / (4 * row), backward = 7.0 / 8 / (2 * row);
  const kernels::Storage s = kernels::Storage::bf16;
  struct Inputs {
    Inputs(attention::Case const& c, std::int64_t n, std::int64_t hd, std::int64_t gd)
        : q(random_matrix(DType::bf16, n, hd)),
          k(random_matrix(DType::bf16, n, gd)),
          v(random_matrix(DType::bf16, n, gd)),
          dout(random_matrix(DType::bf16, n, hd)),
          out(random_matrix(DType::bf16, n, hd)),
          lse(random_matrix(DType::f32, n, c.heads)),
          starts(c.q.starts),
          positions(c.q.positions),
          rows{starts, positions, n, 150} {}
    DeviceMatrix q, k, v, dout, out, lse;
    DeviceVector<std::int32_t> starts, positions;
    kernels::AttentionRows rows;
  };
  check_traffic(
      [&] {
        const Inputs in(c, n, hd, gd);
        require(kernels::attention(s, in.out, in.lse, in.q, in.k, in.v, in.rows, in.rows, shape,
                                   nullptr));
      },
      forward);
  check_traffic(
      [&] {
        const Inputs in(c, n, hd, gd);
        const DeviceMatrix dq(DType::bf16, n, hd), dk(DType::bf16, n, gd), dv(DType::bf16, n, gd);
        const auto space = scratch(kernels::attention_backward_workspace(n, c.heads));
        require(kernels::attention_backward(s, dq, dk, dv, in.dout, in.out, in.lse, in.q, in.k,
                                            in.v, in.rows, in.rows, shape, space, nullptr));
      },
      backward);
}
