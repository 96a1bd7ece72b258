#include "lomo/parallel/vocabulary_parallel.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace lomo {

Buffer VocabularyParallel::embed(Parameter const& embedding, EmbeddingLookup const& lookup) {
  Buffer fetched;
  if (!alone()) fetched = fetch_rows(embedding, lookup);
  Buffer x =
      backend_.allocate(Shape(lookup.tokens.rows(), embedding.whole.cols()),
                        embedding.value.dtype(), Category::activations, "embedded");  // (N,C)
  if (alone()) {
    backend_.gather_rows(x, embedding.value, lookup.tokens);
  } else {
    backend_.gather_rows(x, fetched, lookup.token_rows);
  }
  return x;
}

/// The distinct rows of the batch (U,C), fetched from their owners a tile of the vocabulary at a
/// time. Buffers are as large as the counts allow, whatever the ids are.
Buffer VocabularyParallel::fetch_rows(Parameter const& embedding, EmbeddingLookup const& lookup) {
  RankIds const& ids = lookup.ids;
  const RankInfo info = rank_info(ranks_);
  const Shape whole = embedding.whole;  // (V,C)
  const auto mine = static_cast<std::int64_t>(ids.of(info.rank).size());
  const auto make = [&](std::int64_t rows, Category category, char const* what) {
    return backend_.allocate(Shape(rows, whole.cols()), embedding.value.dtype(), category, what);
  };
  Buffer table = make(mine, Category::activations, "embedding rows");
  Buffer sent = make(ids.maximum(lookup.tile), Category::communication, "embedding rows sent");
  Buffer received = make(std::min(mine, info.ranks * lookup.tile), Category::communication,
                         "embedding rows received");
  const std::int64_t maximum = owned_rows(whole.rows(), 0, info.ranks).count;
  std::int64_t given = 0;  // of lookup.asked
  for (std::int64_t k = 0; k * lookup.tile < maximum; ++k) {
    const VocabularyTile tile(ids, info, whole.rows(), lookup.tile, k);
    const auto total = [](std::vector<std::int64_t> const& counts) {
      return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    };
    const std::int64_t asked = total(tile.asked_counts), incoming = total(tile.mine_counts);
    backend_.gather_rows(sent.tensor().row_block(0, asked), embedding.value,
                         lookup.asked.row_block(given, asked));
    given += asked;
    ranks_.wait(ranks_.all_to_all(received.tensor().row_block(0, incoming),
                                  sent.tensor().row_block(0, asked), tile.mine_counts,
                                  tile.asked_counts));
    std::int64_t row = 0;
    for (RowRange const& range : tile.mine) {  // each owner's follow one another in `table`
      backend_.copy(table.tensor().row_block(range.first, range.count),
                    received.tensor().row_block(row, range.count));
      row += range.count;
    }
  }
  return table;
}

Buffer VocabularyParallel::gather(Buffer mine, LossRows const& rows) {
  if (alone()) return mine;
  const Tensor own = mine;
  Buffer all = backend_.allocate(Shape(rows.count(), own.cols()), own.dtype(),
                                 Category::activations, "head norm of all");
  Communicator::Fence fence = 0;
  for (LossRows::Chunk const& chunk : rows.chunks) {
    const std::int64_t count = chunk.counts[static_cast<std::size_t>(ranks_.rank())];
    fence = ranks_.all_gather(all.tensor().row_block(chunk.first, chunk.rows),
                              own.row_block(chunk.mine, count), chunk.counts);
  }
  ranks_.wait(fence);
  return all;
}

void VocabularyParallel::reduce(Tensor d, Tensor part, LossRows::Chunk const& chunk,
                                DType comm_dtype) {
  if (alone()) return backend_.copy(d, part);
  const std::int64_t ranks = ranks_.size();
  const std::int64_t mine = chunk.counts[static_cast<std::size_t>(ranks_.rank())];
  const auto make = [&](std::int64_t rows, DType dtype, char const* what) {
    return backend_.allocate(Shape(rows, part.cols()), dtype, Category::communication, what);
  };
  Buffer rounded;
  if (comm_dtype != DType::f32) {
    rounded = make(chunk.rows, comm_dtype, "d head norm sent");
    backend_.copy(rounded, part);
  }
  Buffer received = make(ranks * mine, comm_dtype, "d head norm received");
  const std::vector<std::int64_t> from(static_cast<std::size_t>(ranks), mine);
  ranks_.wait(ranks_.all_to_all(received, rounded ? rounded.tensor() : part, from, chunk.counts));
  Buffer sum = make(mine, DType::f32, "d head norm, summed");
  backend_.sum_partials(sum, received);
  backend_.copy(d.row_block(chunk.mine, mine), sum);
}

void VocabularyParallel::merge_softmax(Tensor running) {
  if (alone()) return;
  const std::int64_t ranks = ranks_.size(), rows = running.rows();
  Buffer partials = backend_.allocate(Shape(ranks * rows, 3), DType::f32, Category::communication,
                                      "running softmax of all");
  const std::vector<std::int64_t> each(static_cast<std::size_t>(ranks), rows);
  ranks_.wait(ranks_.all_gather(partials, running, each));
  backend_.cross_entropy_merge(running, partials);
}

void VocabularyParallel::row_logits(Tensor logits, Tensor row, Tensor own) {
  if (alone()) return backend_.linear(logits, row, own);
  const std::int64_t ranks = ranks_.size(), rows = own.rows(), vocab = logits.cols();
  const std::vector<std::int64_t> one_each(static_cast<std::size_t>(ranks), 1);
  const std::vector<std::int64_t> mine(static_cast<std::size_t>(ranks), rows);
  Buffer all = backend_.allocate(Shape(ranks, row.cols()), row.dtype(), Category::communication,
                                 "last rows of all");
  Buffer part = backend_.allocate(Shape(ranks, rows), DType::f32, Category::communication,
                                  "next-token logits of all");
  ranks_.wait(ranks_.all_gather(all, row, one_each));
  backend_.linear(part, all, own);
  ranks_.wait(ranks_.all_to_all(logits.reshaped(Shape(vocab)),
                                part.tensor().reshaped(Shape(ranks * rows)),
                                owned_counts(vocab, ranks_.size()), mine));
}

}  // namespace lomo
