#include "checks.h"
#include "cost.h"
#include "lomo/backend/backend.h"

// The head: cross-entropy over blocks of the vocabulary.
namespace lomo {
namespace {}  // namespace

void Backend::cross_entropy_begin(Tensor running) {
  check_running(Check("cross_entropy_begin", device_), {"running", running});
  const Operation op(*this, "cross_entropy_begin", cost::move({running}));
  if (running.rows() > 0) do_cross_entropy_begin(running);
}

void Backend::cross_entropy_block(Tensor running, Tensor z, Tensor targets, std::int64_t first) {
  const Check check("cross_entropy_block", device_);
  check_running(check, {"running", running});
  check.matrix({"z", z}, kF32);
  check.vector({"targets", targets}, kI32);
  check.same_rows({"z", z}, {"running", running});
  check.same_rows({"targets", targets}, {"running", running});
  const Operation op(
      *this, "cross_entropy_block",
      cost::elementwise(cost::kCrossEntropy, count(z.numel()), {running, z, targets}));
  if (z.numel() > 0) do_cross_entropy_block(running, z, targets, first);
}

void Backend::cross_entropy_end(Tensor loss, Tensor lse, Tensor running) {
  const Check check("cross_entropy_end", device_);
  check_running(check, {"running", running});
  check.vector({"loss", loss}, kF32);
  check.vector({"lse", lse}, kF32);
  check.same_rows({"loss", loss}, {"running", running});
  check.same_rows({"lse", lse}, {"running", running});
  const Operation op(*this, "cross_entropy_end",
                     cost::elementwise(3, count(running.rows()), {loss, lse, running}));
  if (running.rows() > 0) do_cross_entropy_end(loss, lse, running);
}

void Backend::cross_entropy_backward(Tensor dz, Tensor z, Tensor lse, Tensor targets,
                                     std::int64_t first, float scale) {
  const Check check("cross_entropy_backward", device_);
  check.matrix({"dz", dz}, kStorage);
  check.matrix({"z", z}, kF32);
  check.vector({"lse", lse}, kF32);
  check.vector({"targets", targets}, kI32);
  check.same_shape({"dz", dz}, {"z", z});
  check.same_rows({"lse", lse}, {"z", z});
  check.same_rows({"targets", targets}, {"z", z});
  const Operation op(
      *this, "cross_entropy_backward",
      cost::elementwise(cost::kCrossEntropyBackward, count(z.numel()), {dz, z, lse, targets}));
  if (z.numel() > 0) do_cross_entropy_backward(dz, z, lse, targets, first, scale);
}

}  // namespace lomo
