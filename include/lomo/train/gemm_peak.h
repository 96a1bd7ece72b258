#pragma once
#include <cstdint>
#include <functional>

#include "lomo/backend/backend.h"

namespace lomo {

/// Multiply-adds a second (as flops) that the engine reaches on large products of this type: of
/// 1024 x 1024 matrices on a CPU, and on a GPU, which that does not fill, of the largest that is
/// still faster, as far as the engine has room. Blocks for a fraction of a second and keeps no
/// memory. Operands are zeros, with which a GPU at its power limit is somewhat faster than with
/// numbers. A dry engine takes the memory of the first product, and 0 is returned.
double measure_gemm_peak(Backend& backend, DType dtype);

/// The best of rate_of(side), flops a second of a product of square matrices, for the sides
/// `first`, 2 first, ... up to `last`: until the rate grows by less than a twentieth, or the next
/// product would take more than 50 ms.
double best_of_growing_products(std::int64_t first, std::int64_t last,
                                std::function<double(std::int64_t side)> const& rate_of);

}  // namespace lomo
