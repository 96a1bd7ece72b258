#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/data/subset.h"
#include "support/catch.h"

using namespace lomo;

namespace {

struct Drawn {
  std::uint32_t seed;
  std::int64_t n, k;
  std::vector<std::int64_t> head;
  std::uint64_t fold;  // of all values: fold * 31 + value
};

std::vector<Drawn> const& fixtures() {
  static std::vector<Drawn> const all = {
#include "reference/cpython_sample.inc"
  };
  return all;
}

}  // namespace

TEST_CASE("Samples are CPython's, with and without a pool") {
  CHECK(fixtures().size() == 17);
  for (Drawn const& wanted : fixtures()) {
    CAPTURE(wanted.seed, wanted.n, wanted.k);
    const auto drawn = CpythonRandom(wanted.seed).sample(wanted.n, wanted.k);
    REQUIRE(static_cast<std::int64_t>(drawn.size()) == wanted.k);
    CHECK(std::equal(wanted.head.begin(), wanted.head.end(), drawn.begin()));
    CHECK(std::accumulate(drawn.begin(), drawn.end(), std::uint64_t{0},
                          [](std::uint64_t fold, std::int64_t value) {
                            return fold * 31 + static_cast<std::uint64_t>(value);
                          }) == wanted.fold);
  }
  CHECK_THROWS_AS(CpythonRandom(0).sample(3, 4), Error);
}

TEST_CASE("Subsets keep small sets whole") {
  CHECK(choose_subset(Subset::published, 2490, 1000) == CpythonRandom(0).sample(2490, 1000));
  for (Subset subset : {Subset::published, Subset::seeded, Subset::first}) {
    CHECK(choose_subset(subset, 3, 1000) == std::vector<std::int64_t>{0, 1, 2});
    CHECK(choose_subset(subset, 3, 3) == std::vector<std::int64_t>{0, 1, 2});
    CHECK(choose_subset(subset, 3, 0) == std::vector<std::int64_t>{0, 1, 2});
  }
  CHECK(choose_subset(Subset::first, 5, 2) == std::vector<std::int64_t>{0, 1});
  std::vector<std::int64_t> drawn = choose_subset(Subset::seeded, 100, 60, 7);
  CHECK(choose_subset(Subset::seeded, 100, 60, 7) == drawn);
  CHECK(choose_subset(Subset::seeded, 100, 60, 8) != drawn);
  std::sort(drawn.begin(), drawn.end());
  CHECK(drawn.size() == 60);
  CHECK(std::adjacent_find(drawn.begin(), drawn.end()) == drawn.end());
}
