#pragma once
#include <optional>
#include <vector>

#include "lomo/optim/offer.h"
#include "lomo/parallel/gradient_reducer.h"

namespace lomo {

// The norm of a gradient from Gram matrices of its factors, instead of from its tiles.

/// The one cost model: whether that takes clearly fewer operations than dy^T x itself, and on ranks
/// no more bytes either: there the factors are sent instead of the tiles. Of the rank that has most
/// to do, so that all get the same answer. No rate of a machine enters, for the two ratios are
/// nearly the same: R ranks of N tokens each, R even,
///
///   operations  R N (O + I) / (2 O I),    bytes  R N (O + I) / (2 O I) * R / (R - 1)
bool gram_is_cheaper(ParameterGroup const& group, std::vector<Offer> const& offers,
                     GradientComm const& gradient_comm);

/// This rank's share of the squared norm of the whole group's gradient: all of it alone, or where
/// the gradient is whole on its owner (then `gradient_comm` is none). Nothing, and then on all
/// ranks, when the gradient is cheaper to form, when the offers are of several kinds (tied
/// embedding), and when the sum is not to be trusted, because its terms cancel or one is not
/// finite. Blocks.
std::optional<double> gram_norm_squared(Backend& backend, ParameterGroup const& group,
                                        std::vector<Offer> const& offers,
                                        GradientComm const& gradient_comm);

}  // namespace lomo
