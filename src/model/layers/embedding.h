#pragma once
#include "lomo/model/activations.h"
#include "lomo/optim/gradient_sink.h"
#include "lomo/parallel/vocabulary_parallel.h"

namespace lomo {

/// x (N,C): the rows of the tokens of a batch. `tile`: rows of the vocabulary that each rank gives
/// out at once.
Buffer embedding_forward(VocabularyParallel& vocabulary, ParameterGroup const& embedding,
                         DeviceBatch const& batch, std::int64_t tile);
/// Offers the gradient's rows that are not zero, from dx (N,C). The batch must outlive the offer.
void embedding_backward(Backend& backend, ParameterGroup& embedding, DeviceBatch const& batch,
                        Buffer dx, GradientSink& sink);

}  // namespace lomo
