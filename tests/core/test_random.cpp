#include <cstdint>

#include "lomo/core/random.h"
#include "support/catch.h"

using namespace lomo;

TEST_CASE("philox gives the published vectors") {
  // Known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds).
  const auto zero = philox({0, 0}, 0);
  CHECK(zero == std::array<std::uint32_t, 4>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  const auto ones = philox({UINT64_MAX, UINT64_MAX}, UINT64_MAX);
  CHECK(ones == std::array<std::uint32_t, 4>{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0
  const auto pi = philox({0x299f31d0a4093822u, 0x0370734413198a2eu}, 0x85a308d3243f6a88u);
  CHECK(pi == std::array<std::uint32_t, 4>{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST_CASE("streams are told apart by seed, purpose, name and step") {
  const auto base = random_key(1, "round", "w", 5);
  CHECK(base.stream != random_key(2, "round", "w", 5).stream);
  CHECK(base.stream != random_key(1, "init", "w", 5).stream);
  CHECK(base.stream != random_key(1, "round", "v", 5).stream);
  CHECK(random_key(1, "roundw", "", 5).stream != random_key(1, "round", "w", 5).stream);
  CHECK(philox(base, 0) != philox(random_key(1, "round", "w", 6), 0));
}

TEST_CASE("below is uniform") {
  RandomStream stream(random_key(3, "test", "below", 0));
  std::array<int, 7> seen{};
  const int draws = 70000;
  for (int i = 0; i < draws; ++i) seen[stream.below(7)] += 1;
  double chi2 = 0;
  for (int n : seen) chi2 += (n - draws / 7.0) * (n - draws / 7.0) / (draws / 7.0);
  CHECK(chi2 < 22.46);  // 6 degrees of freedom, p = 0.001
}
