#include "checks.h"
#include "cost.h"
#include "lomo/backend/backend.h"

// What ranks gave each other, brought together.
namespace lomo {
namespace {

double count(std::int64_t n) {
  return static_cast<double>(n);
}

/// The rows of `parts` are those of `whole`, once or more often.
void check_parts(Check const& check, Arg whole, Arg parts) {
  check.same_cols(whole, parts);
  const std::int64_t rows = whole.tensor.rows(), all = parts.tensor.rows();
  check.match(rows == 0 ? all == 0 : all > 0 && all % rows == 0, parts, whole);
}

}  // namespace

void Backend::sum_ranks(Tensor out, Tensor parts) {
  const Check check("sum_ranks", device_);
  if (out.dtype() == DType::f64) {
    check.matrix({"out", out}, kF64);
    check.matrix({"parts", parts}, kF64);
  } else {
    check.matrix({"out", out}, kF32);
    check.matrix({"parts", parts}, kStorage);
  }
  check_parts(check, {"out", out}, {"parts", parts});
  const Operation op(*this, "sum_ranks", cost::elementwise(1, count(parts.numel()), {out, parts}));
  if (out.numel() > 0) do_sum_ranks(out, parts);
}

void Backend::cross_entropy_merge(Tensor running, Tensor parts) {
  const Check check("cross_entropy_merge", device_);
  check_running(check, {"running", running});
  check_running(check, {"parts", parts});
  check_parts(check, {"running", running}, {"parts", parts});
  const Operation op(*this, "cross_entropy_merge",
                     cost::elementwise(cost::kMerge, count(parts.rows()), {running, parts}));
  if (running.rows() > 0) do_cross_entropy_merge(running, parts);
}

}  // namespace lomo
