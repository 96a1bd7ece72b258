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

/// |got - wanted| <= bound, element by element; NaN fails.
inline void check_within(std::vector<double> const& got, std::vector<double> const& wanted,
                         std::vector<double> const& bound) {
  REQUIRE(got.size() == wanted.size());
  REQUIRE(bound.size() == wanted.size());
  std::size_t wrong = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::abs(got[i] - wanted[i]) <= bound[i]) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return;
  FAIL(wrong << " of " << got.size() << " elements differ, first [" << first << "]: " << got[first]
             << ", wanted " << wanted[first] << " within " << bound[first]);
}

}  // namespace lomo::test
