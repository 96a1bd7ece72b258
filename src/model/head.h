#pragma once
#include "lomo/backend/backend.h"
#include "lomo/model/activations.h"
#include "lomo/model/llama.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// Final norm and cross-entropy over blocks of the vocabulary, on the N' rows that carry loss.
struct HeadContext {
  Backend& backend;
  ModelConfig const& config;
  DType dtype;
  HeadOptions const& options;
  Tensor targets;  // (N') i32
};

/// Reads a.x (N',C); fills a.loss and, when `keep`, what backward reads.
void head_forward(HeadContext const& ctx, ParameterGroup const& norm, ParameterGroup const& head,
                  HeadActivations& a, bool keep);

/// Offers head and norm and returns the gradient of a.x (N',C), for the loss
/// `scale` * sum of a.loss. `last` marks the head's offer as its last one (not tied).
Buffer head_backward(HeadContext const& ctx, ParameterGroup& norm, ParameterGroup& head,
                     HeadActivations& a, float scale, GradientSink& sink, bool consume, bool last);

}  // namespace lomo
