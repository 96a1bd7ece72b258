#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "support/catch.h"

namespace lomo::test {

inline std::vector<double> doubles(std::vector<float> const& x) {
  return {x.begin(), x.end()};
}

/// Every |got - expected| <= absolute + relative |expected|; infinities must be equal, NaN fails.
inline void check_close(std::string const& what, std::vector<double> const& got,
                        std::vector<double> const& expected, double absolute, double relative) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double allowed = absolute + relative * std::fabs(expected[i]);
    const bool close = std::isinf(expected[i]) ? got[i] == expected[i]
                                               : std::fabs(got[i] - expected[i]) <= allowed;
    if (!close)
      FAIL(what << " " << i << ": " << got[i] << " for " << expected[i] << " +- " << allowed);
  }
  CHECK(true);
}

}  // namespace lomo::test
