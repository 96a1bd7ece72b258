#pragma once
#include "lomo/optim/offer.h"

namespace lomo {

/// dZ_b = scale (exp(x W_b^T - lse) - onehot) (N',B) of vocabulary rows [first, first + B), W_b
/// being those rows (B,C): recomputed, in the storage type.
Buffer dlogits(Backend& backend, HeadOffer const& offer, Tensor w_rows, std::int64_t first);

}  // namespace lomo
