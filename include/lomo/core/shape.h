#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace lomo {

/// One or two extents, outermost first: a vector (n) or a matrix (rows, columns). A value type.
class Shape {
 public:
  constexpr Shape() = default;
  constexpr Shape(std::int64_t n) : dims_{n, 1}, rank_(1) {}
  constexpr Shape(std::int64_t rows, std::int64_t cols) : dims_{rows, cols}, rank_(2) {}

  constexpr int rank() const { return rank_; }
  /// Extent i; a vector counts as one column of `rows() == n` entries.
  constexpr std::int64_t operator[](int i) const { return dims_[static_cast<std::size_t>(i)]; }
  constexpr std::int64_t rows() const { return dims_[0]; }
  constexpr std::int64_t cols() const { return dims_[1]; }
  constexpr std::int64_t numel() const { return dims_[0] * dims_[1]; }
  constexpr bool operator==(Shape const&) const = default;

  /// "(128, 64)".
  std::string str() const;

 private:
  std::array<std::int64_t, 2> dims_{0, 1};
  int rank_ = 1;
};

}  // namespace lomo
