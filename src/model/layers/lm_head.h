#pragma once
#include "lomo/backend/backend.h"
#include "lomo/model/activations.h"
#include "lomo/model/decoder.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// Final norm and cross-entropy over blocks of the vocabulary, on the rows that carry loss. On
/// ranks each takes the rows of all (A of them, alone N') through the part of the vocabulary that
/// it owns (V rows): the head's weights and their gradients stay where they are.
struct HeadContext {
  Backend& backend;
  ModelConfig const& config;
  DType dtype;
  HeadOptions const& options;
  DeviceBatch const& batch;
  VocabularyParallel& vocabulary;
  LossRows const& rows() const { return batch.all_loss_rows; }
};

/// Reads a.x (N',C); fills a.loss (A) and, when `keep`, what backward reads.
void head_forward(HeadContext const& ctx, RmsNorm const& norm, ParameterGroup const& head,
                  HeadActivations& a, bool keep);

/// Offers head and norm and returns the gradient of a.x (N',C), for the loss
/// `scale` * sum of a.loss. `last` marks the head's offer as its last one (not tied).
Buffer head_backward(HeadContext const& ctx, RmsNorm& norm, ParameterGroup& head,
                     HeadActivations& a, float scale, GradientSink& sink, bool consume, bool last);

}  // namespace lomo
