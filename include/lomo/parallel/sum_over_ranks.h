#pragma once
#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"

namespace lomo {

/// sum = what `mine` is on each rank, added in rank order: the same bits on all of them. Vectors or
/// dense matrices of one size, f32 or f64; `sum` may be `mine`.
void sum_over_ranks(Backend& backend, Communicator& ranks, Tensor sum, Tensor mine);

}  // namespace lomo
