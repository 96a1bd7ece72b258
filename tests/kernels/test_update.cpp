// Updates and the sums they rest on: the bits of the CPU engine, and plain double loops.
#include "device.h"
#include "kernels/adalomo.h"
#include "kernels/squared_norm.h"
#include "kernels/update.h"
#include "lomo/backend/backend.h"
#include "support/close.h"
#include "updates.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("kernels: sgd stores the bits of the CPU engine") {
  const std::int64_t rows = 5, cols = GENERATE(1, 24, 515), all = 9;
  const std::int64_t first = GENERATE(0, 7);
  const bool listed = GENERATE(false, true);
  const std::vector<std::int32_t> list{8, 0, 3, 2, 5};
  const std::int64_t w_rows = listed ? all : rows;
  const auto g = random_values("g", rows * cols);
  Backend::SgdStep step;
  step.lr = 3e-3f;
  step.weight_decay = 0.1f;
  step.gradient = kScaling;
  for (Setting const& s : settings()) {
    const auto w = weights(s.type, w_rows * cols);
    const auto be = cpu();
    const Buffer expected = make(*be, {w_rows, cols}, s.type, w);
    be->sgd_update(expected, make(*be, {rows, cols}, DType::f32, g), step, {s.mode, kKey, first},
                   {}, listed ? make_index(*be, list).tensor() : Tensor());
    for (Layout const& l : layouts()) {
      INFO(to_string(s.type) << " " << cols << " " << l.name);
      const Results got = in_all_orders([&]() -> Results {
        const DeviceMatrix mw(s.type, w_rows, cols, w, l.gap, l.shift);
        const DeviceMatrix mg(DType::f32, rows, cols, g, l.gap, l.shift);
        const DeviceVector<std::int32_t> index(list);
        const float keep = static_cast<float>(1.0 - static_cast<double>(step.lr) *
                                                        static_cast<double>(step.weight_decay));
        const auto update = [&](double const* found_inf) {
          require(kernels::sgd_update(storage_of(s.type), mw, {mg}, step.lr, keep, kRule,
                                      rule_of(s.mode, first), found_inf,
                                      listed ? static_cast<std::int32_t*>(index) : nullptr, nullptr,
                                      rows, cols, nullptr, l.variant));
        };
        const DeviceVector<double> forbids(std::vector<double>{0, 1}), allows({0, 0});
        update(forbids);
        auto before = mw.get();
        update(allows);
        return {before, mw.get()};
      });
      CHECK(got[0] == doubles(w));
      CHECK(got[1] == values(*be, expected));
    }
  }
}

TEST_CASE("kernels: sgd sums partial sums of ranks to the bits of the CPU engine") {
  const std::int64_t rows = 5, cols = GENERATE(1, 24, 515), ranks = GENERATE(1, 3);
  const DType comm_dtype = GENERATE(DType::f32, DType::bf16);
  const auto partials = rounded(random_values("parts", ranks * rows * cols), comm_dtype);
  Backend::SgdStep step;
  step.lr = 3e-3f;
  step.gradient = kScaling;
  for (Setting const& s : settings()) {
    const auto w = weights(s.type, rows * cols);
    const auto be = cpu();
    const Buffer expected = make(*be, {rows, cols}, s.type, w);
    be->sgd_update(expected, make(*be, {ranks * rows, cols}, comm_dtype, partials), step,
                   {s.mode, kKey, 4});
    for (Layout const& l : layouts()) {
      INFO(to_string(s.type) << " " << cols << " " << l.name);
      const Results got = in_all_orders([&]() -> Results {
        const DeviceMatrix mw(s.type, rows, cols, w, l.gap, l.shift);
        const DeviceMatrix mg(comm_dtype, ranks * rows, cols, partials, l.gap, l.shift);
        require(kernels::sgd_update(storage_of(s.type), mw, {mg, ranks, storage_of(comm_dtype)},
                                    step.lr, 1, kRule, rule_of(s.mode, 4), nullptr, nullptr,
                                    nullptr, rows, cols, nullptr, l.variant));
        return {mw.get()};
      });
      CHECK(got[0] == values(*be, expected));
    }
  }
}

TEST_CASE("kernels: momentum and AdamW store the bits of the CPU engine") {
  const std::int64_t rows = 5, cols = GENERATE(1, 24, 515), n = rows * cols;
  const auto g = random_values("g", n), m = random_values("m", n);
  auto v = random_values("v", n);
  for (float& x : v) x *= x;
  Backend::AdamStep step;
  step.lr = 2e-3f;
  step.weight_decay = 0.05f;
  step.t = 3;
  step.gradient = kScaling;
  kernels::AdamRule rule;
  rule.lr = static_cast<float>(static_cast<double>(step.lr) /
                               (1 - std::pow(static_cast<double>(step.beta1), 3.0)));
  rule.correct = static_cast<float>(1 / (1 - std::pow(static_cast<double>(step.beta2), 3.0)));
  rule.keep = static_cast<float>(1.0 - static_cast<double>(step.lr) *
                                           static_cast<double>(step.weight_decay));
  rule.beta1 = step.beta1;
  rule.beta2 = step.beta2;
  rule.eps = step.eps;
  for (Setting const& s : settings()) {
    const auto w = weights(s.type, n);
    const auto be = cpu();
    const auto on_cpu = [&](std::vector<float> const& x) {
      return make(*be, {rows, cols}, DType::f32, x);
    };
    const Buffer ew = make(*be, {rows, cols}, s.type, w), em = on_cpu(m), ev = on_cpu(v);
    be->adamw_update(ew, em, ev, on_cpu(g), step, {s.mode, kKey, 12});
    const Buffer mean = on_cpu(m), mixed = on_cpu(g);
    be->momentum_update(mean, mixed, 0.9f, kScaling);
    for (Layout const& l : layouts()) {
      INFO(to_string(s.type) << " " << cols << " " << l.name);
      const Results got = in_all_orders([&]() -> Results {
        const auto matrix = [&](DType type, std::vector<float> const& x) {
          return DeviceMatrix(type, rows, cols, x, l.gap, l.shift);
        };
        const DeviceMatrix mw = matrix(s.type, w), mm = matrix(DType::f32, m);
        const DeviceMatrix mv = matrix(DType::f32, v), mg = matrix(DType::f32, g);
        require(kernels::adamw_update(storage_of(s.type), mw, mm, mv, mg, rule, kRule,
                                      rule_of(s.mode, 12), nullptr, nullptr, rows, cols, nullptr,
                                      l.variant));
        const DeviceMatrix pm = matrix(DType::f32, m), pg = matrix(DType::f32, g);
        require(
            kernels::momentum_update(pm, pg, 0.9f, kRule, nullptr, rows, cols, nullptr, l.variant));
        return {mw.get(), mm.get(), mv.get(), pm.get(), pg.get()};
      });
      CHECK(got[0] == values(*be, ew));
      CHECK(got[1] == values(*be, em));
      CHECK(got[2] == values(*be, ev));
      CHECK(got[3] == values(*be, mean));
      CHECK(got[4] == values(*be, mixed));
    }
  }
}

TEST_CASE("kernels: measure counts what is not finite and does not see tiles") {
  const std::int64_t rows = 9, cols = GENERATE(1, 300, 17000);
  auto g = random_values("g", rows * cols, 1e18f);  // squares overflow f32
  g[0] = std::numeric_limits<float>::quiet_NaN();
  g.back() = -std::numeric_limits<float>::infinity();
  double squares = 0;
  for (std::size_t i = 1; i + 1 < g.size(); ++i) {
    squares += static_cast<double>(4 * g[i]) * static_cast<double>(4 * g[i]);
  }
  for (Layout const& l : layouts()) {
    const Results got = in_all_orders([&]() -> Results {
      const DeviceMatrix m(DType::f32, rows, cols, g, l.gap, l.shift);
      const auto space = scratch(kernels::squared_norm_workspace(rows, cols));
      Results sums;
      for (const std::int64_t tile : {rows, std::int64_t{1}, std::int64_t{4}}) {
        const DeviceVector<double> stats(std::vector<double>{0.5, 1});
        for (std::int64_t first = 0; first < rows; first += tile) {
          const kernels::In part{static_cast<float*>(m.address()) + first * kernels::In(m).pitch,
                                 kernels::In(m).pitch};
          require(kernels::accumulate_squared_norm(
              stats, part, 4.0f, space, std::min(tile, rows - first), cols, nullptr, l.variant));
        }
        sums.push_back(stats.get());
      }
      return sums;
    });
    INFO(cols << " " << l.name);
    const double bound = static_cast<double>(rows * cols) * 0x1p-53;
    check_close("squares", {got[0][0]}, {squares + 0.5}, 0, bound);
    CHECK(got[0][1] == 3);  // there was one before
    CHECK(got[1] == got[0]);
    CHECK(got[2] == got[0]);
  }
}

TEST_CASE("kernels: inner_product sums in double and does not see tiles") {
  const std::int64_t rows = 7, cols = GENERATE(1, 300, 17000), n = rows * cols;
  const auto a = random_values("a", n, 1e18f), b = random_values("b", n);  // a^2 overflows f32
  double product = 0, absolute = 0, a2 = 0, b2 = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    product += x * y;
    absolute += std::abs(x * y);
    a2 += x * x;
    b2 += y * y;
  }
  for (Layout const& l : layouts()) {
    INFO(cols << " " << l.name);
    const Results got = in_all_orders([&]() -> Results {
      const DeviceMatrix ma(DType::f32, rows, cols, a, l.gap, l.shift);
      const DeviceMatrix mb(DType::f32, rows, cols, b, l.gap, l.shift);
      const auto space = scratch(kernels::inner_product_workspace(rows, cols));
      const DeviceVector<double> sums(std::vector<double>{0.5, 1});
      require(kernels::inner_product(sums, ma, mb, 2, space, rows, cols, nullptr, l.variant));
      auto poisoned = b;
      poisoned.back() = std::numeric_limits<float>::infinity();
      const DeviceMatrix bad(DType::f32, rows, cols, poisoned, l.gap, l.shift);
      const DeviceVector<double> seen(std::vector<double>{0, 0});
      require(kernels::inner_product(seen, ma, bad, 2, space, rows, cols, nullptr, l.variant));
      return {sums.get(), seen.get()};
    });
    const double u = static_cast<double>(n + 4) * 0x1p-53;
    CHECK(std::abs(got[0][0] - (0.5 + 2 * product)) <= u * (0.5 + 2 * absolute));
    CHECK(std::abs(got[0][1] - (1 + 2 * std::sqrt(a2 * b2))) <= u * (1 + 2 * std::sqrt(a2 * b2)));
    CHECK_FALSE(std::isfinite(got[1][0]));
  }
}

TEST_CASE("kernels: AdaLomo's sums agree with double loops, its update with the CPU engine") {
  const std::int64_t rows = GENERATE(1, 70), cols = GENERATE(1, 24, 1030), n = rows * cols;
  auto g = random_values("g", n);
  if (rows > 1) {  // a row and a column that were never seen
    for (std::int64_t j = 0; j < cols; ++j) g[static_cast<std::size_t>(cols + j)] = 0;
    for (std::int64_t i = 0; i < rows; ++i) g[static_cast<std::size_t>(i * cols)] = 0;
  }
  const auto scaled = [](float x) {
    const double clipped = std::fmin(std::fmax(0.5 * static_cast<double>(x), -0.4), 0.4);
    return 0.7 * clipped;
  };
  std::vector<double> row(static_cast<std::size_t>(rows)), col(static_cast<std::size_t>(cols));
  for (std::int64_t i = 0; i < n; ++i) {
    const double d = scaled(g[static_cast<std::size_t>(i)]);
    row[static_cast<std::size_t>(i / cols)] += d * d;
    col[static_cast<std::size_t>(i % cols)] += d * d;
  }
  Backend::AdaLomoStep step;
  step.lr = 5e-2f;
  step.weight_decay = 0.1f;
  step.gradient = kScaling;
  const auto be = cpu();
  const std::vector<float> r32(row.begin(), row.end()), c32(col.begin(), col.end());
  const Buffer br = make(*be, rows, DType::f32, r32), bc = make(*be, cols, DType::f32, c32);
  const Buffer bg = make(*be, {rows, cols}, DType::f32, g);
  const Buffer total = make(*be, 1, DType::f64, std::vector<double>{0});
  be->sum(total, br);
  const double row_total = values(*be, total)[0];
  for (Setting const& s : settings()) {
    const auto w = weights(s.type, n);
    const Buffer expected = make(*be, {rows, cols}, s.type, w);
    const Buffer sums = make(*be, 2, DType::f64, std::vector<double>{0, 0});
    const Backend::AdaLomoTensor whole{total, rows, n};
    be->adalomo_statistics(sums, expected, bg, br, bc, whole, kScaling);
    const auto measured = values(*be, sums);
    be->adalomo_update(expected, bg, br, bc, sums, whole, step, {s.mode, kKey, 4});
    for (Layout const& l : layouts()) {
      INFO(to_string(s.type) << " " << rows << " x " << cols << " " << l.name);
      const Results got = in_all_orders([&]() -> Results {
        const DeviceMatrix mw(s.type, rows, cols, w, l.gap, l.shift);
        const DeviceMatrix mg(DType::f32, rows, cols, g, l.gap, l.shift);
        const auto squares = scratch(kernels::square_sums_workspace(rows, cols));
        const auto measures = scratch(kernels::adalomo_statistics_workspace(rows, cols));
        const auto updates = scratch(kernels::adalomo_update_workspace(rows, cols, false));
        const DeviceMatrix own_row(DType::f32, 1, rows), own_col(DType::f32, 1, cols);
        require(kernels::square_sums(static_cast<float*>(own_row.address()),
                                     static_cast<float*>(own_col.address()), mg, kRule, squares,
                                     rows, cols, nullptr, l.variant));
        // The rest from the CPU engine's statistics, so that bits can be compared.
        const DeviceVector<float> dr(r32), dc(c32);
        const DeviceVector<double> sum_of_row(std::vector<double>{0}), dt({row_total});
        require(kernels::sum(sum_of_row, dr, rows, nullptr));
        const DeviceVector<double> own_sums(std::vector<double>{0, 0}), given(measured);
        const kernels::SecondMoment moment{dr, dc, dt, rows, n};
        const kernels::Storage type = storage_of(s.type);
        require(kernels::adalomo_statistics(type, own_sums, mw, mg, moment, kRule, measures, rows,
                                            cols, nullptr, l.variant));
        const kernels::AdaLomoRule rule{step.lr, step.weight_decay, step.clip_threshold, step.eps2};
        require(kernels::adalomo_update(type, mw, mg, given, moment, rule, kRule,
                                        rule_of(s.mode, 4), nullptr, updates, rows, cols, nullptr,
                                        l.variant));
        const DeviceVector<float> state(c32);
        require(kernels::decay_average(state, dc, 0.9f, 2.0f, 1e-3f, nullptr, cols, nullptr));
        return {own_row.get(), own_col.get(), sum_of_row.get(), own_sums.get(), mw.get()};
      });
      // g' is rounded three times and squared; partial sums have at most 512 terms.
      const double relative = 2 * gamma_f32(3) + gamma_f32(512) + gamma_f32(2);
      check_close("row", got[0], row, 0, relative);
      check_close("col", got[1], col, 0, relative);
      const double f64 = static_cast<double>(n) * 0x1p-53;
      check_close("row total", got[2], {row_total}, 0, f64);
      check_close("sums", got[3], measured, 0, f64);
      CHECK(got[4] == values(*be, expected));
    }
  }
}
