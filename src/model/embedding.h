#pragma once
#include "lomo/backend/communicator.h"
#include "lomo/data/batch.h"
#include "lomo/model/activations.h"
#include "lomo/model/weights.h"

namespace lomo {

/// What the embedding of a pass needs.
struct EmbeddingContext {
  Backend& backend;
  Communicator* ranks;  // or null
  std::int64_t tile;    // rows of the vocabulary a rank gives out at once
};

/// x (N,C) = the rows of the tokens. On ranks each gives out the rows it owns to those that ask.
Buffer embed(EmbeddingContext const& ctx, Parameter const& embedding, Batch const& batch,
             DeviceBatch const& device);

}  // namespace lomo
