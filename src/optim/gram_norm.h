#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "lomo/optim/offer.h"

namespace lomo {

/// ||dy^T x||_F^2 of dy (n,o), x (n,i), without forming the product:
///
///   ||dy^T x||_F^2 = sum over pairs of rows (r,s) of (dy dy^T)_rs (x x^T)_rs
///
/// Both Gram matrices are symmetric, so the lower triangle of blocks is enough.

/// The one cost model: whether that takes clearly fewer operations than dy^T x itself.
bool gram_is_cheaper(ParameterGroup const& group, std::vector<Offer> const& offers);

/// The squared norm of the whole group's gradient, or nothing: when the gradient is cheaper to
/// form, when the offers are of several kinds (tied embedding), and when the sum is not to be
/// trusted, because its terms cancel or one is not finite. Blocks.
std::optional<double> gram_norm_squared(Backend& backend, ParameterGroup const& group,
                                        std::vector<Offer> const& offers);

}  // namespace lomo
