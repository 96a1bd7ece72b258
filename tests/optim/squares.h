#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lomo::test {

/// ||dy^T x||^2 of dy (n,outputs), x (n,inputs), in double.
template <class T>
double squares_of_product(std::vector<T> const& dy, std::vector<T> const& x, std::int64_t outputs,
                          std::int64_t inputs) {
  const auto o = static_cast<std::size_t>(outputs), i = static_cast<std::size_t>(inputs);
  double sum = 0;
  for (std::size_t a = 0; a < o; ++a) {
    for (std::size_t b = 0; b < i; ++b) {
      double g = 0;
      for (std::size_t r = 0; r * i < x.size(); ++r) g += double{dy[r * o + a]} * x[r * i + b];
      sum += g * g;
    }
  }
  return sum;
}

}  // namespace lomo::test
