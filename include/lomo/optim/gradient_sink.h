#pragma once
#include "lomo/optim/offer.h"

namespace lomo {

/// Where gradients go. Backward offers each gradient in the cheapest form it has; the sink decides
/// whether it is ever written down. The optimizers and the clipping pass are sinks.
///
/// Contract of the caller (the model's backward):
/// - Nothing is offered for a parameter that does not require a gradient; backward stops below the
///   lowest one that does.
/// - Every dx that reads a weight is computed before that weight is offered, and a recomputed
///   forward is finished before anything of its block is offered: a sink may overwrite the weight.
/// - A group may be offered several times (an embedding tied to the head; members with rows of
/// their
///   own); `last` marks the final one, and a sink acts only then. Until then it needs the factors
///   of the earlier ones. Every member is covered by an offer.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  virtual bool requires_grad(ParameterGroup const& group) const = 0;
  virtual void offer(ParameterGroup& group, Offer offer, bool last) = 0;
};

}  // namespace lomo
