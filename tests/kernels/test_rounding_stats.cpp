// What updates tell about their rounding (RoundingRule::rounding_stats).
#include "kernels/adalomo.h"
#include "updates.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("kernels: the rounding statistics counts as the CPU engine's does and changes no bit") {
  const std::int64_t rows = 3, cols = GENERATE(1, 24, 17000), n = rows * cols;
  const auto g = random_values("g", n);
  Backend::SgdStep sgd;
  sgd.lr = 1e-3f;
  Backend::AdamStep adam;
  adam.lr = 1e-3f;
  Backend::AdaLomoStep ada;
  ada.lr = 1e-2f;
  const std::vector<float> row(static_cast<std::size_t>(rows), 1);
  const std::vector<float> col(static_cast<std::size_t>(cols), 0.3f);
  const double whole_row = static_cast<double>(rows), numel = static_cast<double>(n);
  const std::vector<double> measured{0.3 * numel, 0.2 * numel}, begun{1, 2, 3, 4};
  for (Setting const& s : settings()) {
    const auto w = weights(s.type, n);
    const auto be = cpu();
    const auto f32 = [&](std::vector<float> const& x, Shape shape) {
      return make(*be, shape, DType::f32, x);
    };
    const Buffer bg = f32(g, {rows, cols}),
                 total = make(*be, 1, DType::f64, std::vector{whole_row});
    std::vector<std::vector<double>> tallies, updated;
    for (int rule = 0; rule < 3; ++rule) {
      const Buffer bw = make(*be, {rows, cols}, s.type, w),
                   rounding_stats = make(*be, 4, DType::f64, begun);
      const RoundingPlan plan{s.mode, kKey, 4, rounding_stats};
      const Buffer m = f32(g, {rows, cols}), v = f32(std::vector<float>(g.size(), 1), {rows, cols});
      if (rule == 0) be->sgd_update(bw, bg, sgd, plan);
      if (rule == 1) be->adamw_update(bw, m, v, bg, adam, plan);
      if (rule == 2) {
        be->adalomo_update(bw, bg, f32(row, rows), f32(col, cols),
                           make(*be, 2, DType::f64, measured), {total, rows, n}, ada, plan);
      }
      tallies.push_back(values(*be, rounding_stats));
      updated.push_back(values(*be, bw));
    }
    for (Layout const& l : layouts()) {
      INFO(to_string(s.type) << " " << cols << " " << l.name);
      const Results got = in_all_orders([&]() -> Results {
        Results results;
        const DeviceMatrix mg(DType::f32, rows, cols, g, l.gap, l.shift);
        const auto space = scratch(kernels::adalomo_update_workspace(rows, cols, true));
        for (int rule = 0; rule < 3; ++rule) {
          const DeviceMatrix mw(s.type, rows, cols, w, l.gap, l.shift);
          const DeviceVector<double> rounding_stats(begun), given(measured),
              one(std::vector{whole_row});
          kernels::RoundingRule rounding = rule_of(s.mode, 4);
          rounding.rounding_stats = rounding_stats;
          const kernels::Storage type = storage_of(s.type);
          if (rule == 0) {
            require(kernels::sgd_update(type, mw, {mg}, sgd.lr, 1, {}, rounding, nullptr, nullptr,
                                        space, rows, cols, nullptr, l.variant));
          } else if (rule == 1) {
            const DeviceMatrix m(DType::f32, rows, cols, g, l.gap, l.shift);
            const DeviceMatrix v(DType::f32, rows, cols, std::vector<float>(g.size(), 1), l.gap,
                                 l.shift);
            kernels::AdamRule adamw{0, 1, adam.beta1, adam.beta2, adam.eps, 0};
            adamw.lr = static_cast<float>(static_cast<double>(adam.lr) /
                                          (1 - static_cast<double>(adam.beta1)));
            adamw.correct = static_cast<float>(1 / (1 - static_cast<double>(adam.beta2)));
            require(kernels::adamw_update(type, mw, m, v, mg, adamw, {}, rounding, nullptr, space,
                                          rows, cols, nullptr, l.variant));
          } else {
            const DeviceVector<float> r(row), c(col);
            require(kernels::adalomo_update(type, mw, mg, given, {r, c, one, rows, n},
                                            {ada.lr, 0, ada.clip_threshold, ada.eps2}, {}, rounding,
                                            nullptr, space, rows, cols, nullptr, l.variant));
          }
          results.push_back(rounding_stats.get());
          results.push_back(mw.get());
        }
        return results;
      });
      for (std::size_t rule = 0; rule < 3; ++rule) {
        INFO("rule " << rule);
        std::vector<double> const& rounding_stats = got[2 * rule];
        CHECK(got[2 * rule + 1] == updated[rule]);
        CHECK(rounding_stats[0] == tallies[rule][0]);
        CHECK(rounding_stats[1] == tallies[rule][1]);
        // Two orders of at most n + 1 additions, of products whose sizes average |moved| |step|;
        // a stored weight moves by at most its step and a quantum of what weights there are, 2^-7.
        const double steps = tallies[rule][3];
        const double size = steps + std::sqrt(steps * numel) * 0x1p-7 + 4;
        CHECK(std::abs(rounding_stats[2] - tallies[rule][2]) <= 2 * numel * 0x1p-53 * size);
        CHECK(std::abs(rounding_stats[3] - steps) <= 2 * numel * 0x1p-53 * (steps + 4));
      }
    }
  }
}
