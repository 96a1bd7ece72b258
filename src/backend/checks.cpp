#include "checks.h"

#include <algorithm>
#include <string>

#include "lomo/core/error.h"

namespace lomo {
namespace {

std::string_view name_of(Device device) {
  switch (device) {
    case Device::cpu:
      return "cpu";
    case Device::cuda:
      return "cuda";
    case Device::dry:
      return "dry";
  }
  return "?";
}

std::string text(Arg a) {
  return std::string(a.name) + " " + a.tensor.shape().str();
}

}  // namespace

void Check::fail(std::string_view what) const {
  throw Error(std::string(op_) + ": " + std::string(what));
}

void Check::any(Arg a, Types types) const {
  if (a.tensor.device() != device_) {
    fail(text(a) + " is on device " + std::string(name_of(a.tensor.device())) +
         ", the engine computes on " + std::string(name_of(device_)));
  }
  if (std::find(types.begin(), types.end(), a.tensor.dtype()) != types.end()) return;
  std::string wanted;
  for (const DType type : types) {
    if (!wanted.empty()) wanted += " or ";
    wanted += to_string(type);
  }
  fail(text(a) + " is " + std::string(to_string(a.tensor.dtype())) + ", it must be " + wanted);
}

void Check::matrix(Arg a, Types types) const {
  if (a.tensor.shape().rank() != 2) fail(text(a) + " must be a matrix");
  any(a, types);
}

void Check::vector(Arg a, Types types) const {
  if (a.tensor.shape().rank() != 1 || !a.tensor) fail(text(a) + " must be a vector");
  any(a, types);
}

void Check::vector(Arg a, Types types, std::int64_t n) const {
  vector(a, types);
  if (a.tensor.rows() != n) fail(text(a) + " must have " + std::to_string(n) + " elements");
}

void Check::same_type(Arg a, Arg b) const {
  if (a.tensor.dtype() == b.tensor.dtype()) return;
  fail(text(a) + " is " + std::string(to_string(a.tensor.dtype())) + " but " + text(b) + " is " +
       std::string(to_string(b.tensor.dtype())));
}

void Check::match(bool ok, Arg a, Arg b) const {
  if (!ok) fail(text(a) + " does not match " + text(b));
}

void Check::same_shape(Arg a, Arg b) const {
  match(a.tensor.shape() == b.tensor.shape(), a, b);
}

void Check::same_rows(Arg a, Arg b) const {
  match(a.tensor.rows() == b.tensor.rows(), a, b);
}

void Check::same_cols(Arg a, Arg b) const {
  match(a.tensor.cols() == b.tensor.cols(), a, b);
}

void Check::dense(Arg a) const {
  if (!a.tensor.dense()) {
    fail(text(a) + " has row pitch " + std::to_string(a.tensor.pitch()) + ", it must be dense");
  }
}

void Check::found_inf(Tensor found_inf) const {
  if (found_inf) vector({"found_inf", found_inf}, kF64, 2);
}

void Check::rounding(RoundingPlan const& plan) const {
  if (plan.rounding_stats) vector({"rounding_stats", plan.rounding_stats}, kF64, 4);
}

void Check::sequences(std::string_view name, Sequences const& sequences, Arg rows) const {
  const std::string starts = std::string(name) + ".starts";
  const std::string positions = std::string(name) + ".positions";
  vector({starts, sequences.starts}, kI32);
  if (sequences.starts.rows() < 1) fail(starts + " is empty, it must hold at least one 0");
  vector({positions, sequences.positions}, kI32);
  same_rows({positions, sequences.positions}, rows);
  if (sequences.longest < 0 || sequences.longest > rows.tensor.rows()) {
    fail(std::string(name) + ".longest is " + std::to_string(sequences.longest) +
         ", not a number of rows of " + text(rows));
  }
}

void check_running(Check const& check, Arg running) {
  check.matrix(running, kF32);
  check.dense(running);
  if (running.tensor.cols() != 3) {
    check.fail(std::string(running.name) + " " + running.tensor.shape().str() +
               " must have 3 columns: max, sum, target");
  }
}

Tensor as_matrix(Tensor t) {
  return t.shape().rank() == 2 ? t : t.reshaped(Shape(1, t.rows()));
}

}  // namespace lomo
