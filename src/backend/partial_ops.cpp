#include "checks.h"
#include "cost.h"
#include "lomo/backend/backend.h"

// partial sums of ranks, brought together.
namespace lomo {
namespace {

/// The rows of `partials` are those of `whole`, once or more often.
void check_partials(Check const& check, Arg whole, Arg partials) {
  check.same_cols(whole, partials);
  const std::int64_t rows = whole.tensor.rows(), all = partials.tensor.rows();
  check.match(rows == 0 ? all == 0 : all > 0 && all % rows == 0, partials, whole);
}

}  // namespace

void Backend::sum_partials(Tensor out, Tensor partials) {
  const Check check("sum_partials", device_);
  if (out.dtype() == DType::f64) {
    check.matrix({"out", out}, kF64);
    check.matrix({"parts", partials}, kF64);
  } else {
    check.matrix({"out", out}, kF32);
    check.matrix({"parts", partials}, kStorage);
  }
  check_partials(check, {"out", out}, {"parts", partials});
  const Operation op(*this, "sum_partials",
                     cost::elementwise(1, count(partials.numel()), {out, partials}));
  if (out.numel() > 0) do_sum_partials(out, partials);
}

void Backend::cross_entropy_merge(Tensor running, Tensor partials) {
  const Check check("cross_entropy_merge", device_);
  check_running(check, {"running", running});
  check_running(check, {"parts", partials});
  check_partials(check, {"running", running}, {"parts", partials});
  const Operation op(*this, "cross_entropy_merge",
                     cost::elementwise(cost::kMerge, count(partials.rows()), {running, partials}));
  if (running.rows() > 0) do_cross_entropy_merge(running, partials);
}

}  // namespace lomo
