#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "lomo/backend/ops.h"
#include "lomo/core/tensor.h"

namespace lomo {

/// An argument of an operation and the name it has in backend.h.
struct Arg {
  std::string_view name;
  Tensor tensor;
};

using Types = std::span<DType const>;
/// What the letter T of backend.h may stand for.
inline constexpr std::array kStorage = {DType::f32, DType::bf16, DType::f16};
inline constexpr std::array kCommDtype = {DType::f32, DType::bf16};
inline constexpr std::array kF32 = {DType::f32};
inline constexpr std::array kF64 = {DType::f64};
inline constexpr std::array kI32 = {DType::i32};

/// The argument checks of one operation; each throws Error naming the op, the arguments and what is
/// wrong with them.
class Check {
 public:
  Check(std::string_view op, Device device) : op_(op), device_(device) {}

  /// Two-dimensional, on the engine's device, of one of the types.
  void matrix(Arg a, Types types) const;
  /// One-dimensional, on the engine's device, of one of the types.
  void vector(Arg a, Types types) const;
  /// Of either rank, on the engine's device, of one of the types.
  void any(Arg a, Types types) const;
  /// A vector of exactly n elements.
  void vector(Arg a, Types types, std::int64_t n) const;
  void same_type(Arg a, Arg b) const;
  /// "op: a (2, 3) does not match b (4, 5)" unless ok.
  void match(bool ok, Arg a, Arg b) const;
  void same_shape(Arg a, Arg b) const;
  void same_rows(Arg a, Arg b) const;
  void same_cols(Arg a, Arg b) const;
  /// Elements follow one another without gaps.
  void dense(Arg a) const;
  /// A vector of sums that decide an update: (2) f64 or none.
  void found_inf(Tensor found_inf) const;
  /// Where an update tells what rounding made of it: (4) f64 or none.
  void rounding(RoundingPlan const& plan) const;
  /// Starts and positions of the rows of `rows`.
  void sequences(std::string_view name, Sequences const& sequences, Arg rows) const;
  [[noreturn]] void fail(std::string_view what) const;

 private:
  std::string_view op_;
  Device device_;
};

/// What an online log-sum-exp runs on: (n,3), dense.
void check_running(Check const& check, Arg running);

/// A vector (n) seen as a matrix of one row; a matrix as it is.
Tensor as_matrix(Tensor t);

}  // namespace lomo
