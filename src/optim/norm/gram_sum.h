#pragma once
#include <cstdint>
#include <optional>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/optim/offer.h"

namespace lomo {

/// ||dy^T x||_F^2 of dy (n,o), x (n,i), without forming the product:
///
///   ||dy^T x||_F^2 = sum over pairs of rows (r,s) of (dy dy^T)_rs (x x^T)_rs
///
/// Both Gram matrices are symmetric, so the lower triangle of blocks is enough. Asynchronous but
/// for `trusted`.
class GramSum {
 public:
  /// Entries of a triangle of n rows: what `add` multiplies out of each of the two Gram matrices.
  static double triangle(std::int64_t n);

  explicit GramSum(Backend& backend);
  /// All pairs of rows of dy (n,o), x (n,i).
  void add(Tensor dy, Tensor x);
  /// The pairs of a row of dy (n,o), x (n,i) with one of other_dy (m,o), other_x (m,i), both ways
  /// round.
  void add_pairs(Tensor dy, Tensor x, Tensor other_dy, Tensor other_x);
  /// All pairs of rows of the head's dZ (N',V) and x (N',C). dZ dZ^T is summed over blocks of the
  /// vocabulary, as a whole.
  void add(HeadOffer const& offer, Parameter const& head);

  /// What was added up here, or nothing where the sum over `ranks`, for all of them alike, is not
  /// to be trusted: its terms cancel, or one is not finite. Blocks.
  ///
  /// An f32 sum of k products is off by about sqrt(k) roundings of its size, so the total by the
  /// sum over blocks of sqrt(k) 2^-24 |block of dy dy^T| |block of x x^T|, which far exceeds the
  /// total when rows nearly cancel.
  std::optional<double> trusted(Communicator& ranks) const;

 private:
  class Scratch;
  void add_triangle_row(Tensor a, Tensor b, std::int64_t first);

  Backend& backend_;
  Buffer sums_;              // (2) f64: the sum, and of the sizes of its blocks
  std::int64_t widest_ = 0;  // o + i
};

}  // namespace lomo
