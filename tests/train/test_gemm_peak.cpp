#include <cmath>
#include <vector>

#include "lomo/train/gemm_peak.h"
#include "support/catch.h"

using namespace lomo;

namespace {

/// A device that takes `overhead` seconds a product beside its `peak` flops a second.
struct Found {
  double rate;
  std::vector<std::int64_t> sides;
};
Found find(double peak, double overhead, std::int64_t last) {
  Found found{0, {}};
  found.rate = best_of_growing_products(1024, last, [&](std::int64_t side) {
    found.sides.push_back(side);
    const double flops = 2 * std::pow(static_cast<double>(side), 3);
    return flops / (overhead + flops / peak);
  });
  return found;
}

}  // namespace

TEST_CASE("a product that fills the device is looked for, and no larger one") {
  const Found h100 = find(800e12, 20e-6, 8192);  // 1024: 12 % of its peak
  CHECK(h100.sides == std::vector<std::int64_t>{1024, 2048, 4096, 8192});
  CHECK(h100.rate > 0.98 * 800e12);
  const Found slow = find(1e12, 20e-6, 8192);  // filled by the first: the second shows it
  CHECK(slow.sides == std::vector<std::int64_t>{1024, 2048});
}

TEST_CASE("the probe of products ends where memory or timeout does") {
  CHECK(find(800e12, 20e-6, 2048).sides == std::vector<std::int64_t>{1024, 2048});
  CHECK(find(800e12, 20e-6, 1024).sides == std::vector<std::int64_t>{1024});
  CHECK(find(20e9, 0, 8192).sides == std::vector<std::int64_t>{1024});  // 2048 would take 0.9 s
}

TEST_CASE("the best rate counts, even where a larger product is slower") {
  const double best = best_of_growing_products(
      1024, 8192, [](std::int64_t side) { return side == 1024 ? 3e13 : 2e13; });
  CHECK(best == 3e13);
}
