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
