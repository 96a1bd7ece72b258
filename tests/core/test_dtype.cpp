#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "lomo/core/dtype.h"
#include "support/catch.h"

using namespace lomo;

TEST_CASE("f16 and bf16 survive a round trip through f32") {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto b = static_cast<std::uint16_t>(bits);
    const float from_bf16 = to_float(bf16{b});
    const float from_f16 = to_float(f16{b});
    if (std::isnan(from_bf16)) {
      CHECK(std::isnan(to_float(to_bf16(from_bf16))));
    } else if (to_bf16(from_bf16).bits != b) {
      FAIL("bf16 " << bits);
    }
    if (std::isnan(from_f16)) {
      CHECK(std::isnan(to_float(to_f16(from_f16))));
    } else if (to_f16(from_f16).bits != b) {
      FAIL("f16 " << bits);
    }
  }
}

TEST_CASE("rounding is to nearest, ties to even") {
  CHECK(to_float(to_bf16(1.0f + 0x1p-8f)) == 1.0f);                // tie, even below
  CHECK(to_float(to_bf16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);  // tie, even above
  CHECK(to_float(to_f16(1.0f + 0x1p-11f)) == 1.0f);
  CHECK(to_float(to_f16(1.0f + 3 * 0x1p-11f)) == 1.0f + 0x1p-9f);
  CHECK(to_float(to_f16(65519.0f)) == 65504.0f);
  CHECK(std::isinf(to_float(to_f16(65520.0f))));
  CHECK(to_float(to_f16(0x1p-25f)) == 0.0f);
  CHECK(to_float(to_f16(0x1.8p-25f)) == 0x1p-24f);
  CHECK(std::isinf(to_float(to_bf16(std::numeric_limits<float>::max()))));
}

TEST_CASE("every f16 is what its bits say, and what lies between two goes to the nearer") {
  const auto meaning = [](std::uint32_t bits) {  // of a finite magnitude
    const auto mantissa = static_cast<double>(bits & 0x3ffu);
    const int exponent = static_cast<int>(bits >> 10);
    return exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  };
  for (std::uint32_t bits = 0; bits < 0x7c00u; ++bits) {
    const double here = meaning(bits);
    if (static_cast<double>(to_float(f16{static_cast<std::uint16_t>(bits)})) != here) {
      FAIL("to_float " << bits);
    }
    // The next one, or 65536, where infinity begins to be nearer than 65504.
    const double above = bits + 1 < 0x7c00u ? meaning(bits + 1) : 65536;
    const auto middle = static_cast<float>((here + above) / 2);  // exact: one bit more
    const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    const auto magnitude = std::bit_cast<std::uint32_t>(middle);
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const auto rounded = [&](std::uint32_t f32_bits) {
        return to_f16(std::bit_cast<float>(f32_bits | (sign << 16))).bits;
      };
      const bool right = rounded(magnitude) == (even | sign) &&
                         rounded(magnitude - 1) == (bits | sign) &&
                         rounded(magnitude + 1) == ((bits + 1) | sign);
      if (!right) FAIL("to_f16 around " << middle);
    }
  }
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(to_float(f16{0x7c00}) == infinity);
  CHECK(to_float(f16{0xfc00}) == -infinity);
  CHECK(to_f16(1e30f).bits == 0x7c00);
  CHECK(to_f16(-infinity).bits == 0xfc00);
  CHECK(to_f16(1e-30f).bits == 0);
  CHECK(to_f16(-1e-30f).bits == 0x8000);
  CHECK(std::isnan(to_float(to_f16(std::bit_cast<float>(0x7f800001u)))));
}
