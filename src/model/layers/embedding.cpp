#include "embedding.h"

#include <utility>

namespace lomo {

Buffer embedding_forward(VocabularyParallel& vocabulary, ParameterGroup const& embedding,
                         DeviceBatch const& batch, std::int64_t tile) {
  return vocabulary.embed(embedding.single(),
                          {batch.tokens, batch.ids, batch.token_rows, batch.asked_rows, tile});
}

void embedding_backward(Backend& backend, ParameterGroup& embedding, DeviceBatch const& batch,
                        Buffer dx, GradientSink& sink) {
  const Tensor ids = batch.unique_ids();
  Buffer rows = backend.allocate(Shape(ids.rows(), dx.tensor().cols()), DType::f32,
                                 Category::activations, "embedding gradient rows");  // (U,C)
  backend.sum_rows(rows, dx, batch.id_order, batch.id_segments);
  dx.reset();
  sink.offer(embedding, EmbeddingOffer{std::move(rows), ids, &batch.ids}, true);
}

}  // namespace lomo
