#include "embedding.h"

#include <algorithm>
#include <span>

#include "transfer.h"

namespace lomo {

namespace {

/// Where each token's id stands among the distinct ids of the batch: (N).
std::vector<std::int32_t> places(Batch const& batch) {
  std::vector<std::int32_t> info(batch.tokens.size());
  for (std::size_t u = 0; u + 1 < batch.id_segments.size(); ++u) {
    for (std::int32_t i = batch.id_segments[u]; i < batch.id_segments[u + 1]; ++i) {
      const std::int32_t row = batch.id_order[static_cast<std::size_t>(i)];
      info[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(u);
    }
  }
  return info;
}

/// The ids that each rank asks for of the rows here, as rows of the shard, rank after rank.
std::vector<std::int32_t> asked_rows(RankIds const& ids, VocabularyTile const& tile,
                                     std::int64_t shard_begins) {
  std::vector<std::int32_t> rows;
  for (std::size_t q = 0; q < tile.asked.size(); ++q) {
    auto const& list = ids.of(static_cast<int>(q));
    for (std::int64_t i = tile.asked[q].first; i < tile.asked[q].end(); ++i) {
      const std::int32_t id = list[static_cast<std::size_t>(i)];
      rows.push_back(id - static_cast<std::int32_t>(shard_begins));
    }
  }
  return rows;
}

/// The distinct rows of the batch (U,C), fetched from their owners a tile of the vocabulary at a
/// time. Buffers are as large as the counts allow, whatever the ids are.
Buffer fetch_rows(EmbeddingContext const& ctx, Parameter const& embedding, RankIds const& ids) {
  Backend& be = ctx.backend;
  const RankInfo info = rank_info(ctx.ranks);
  const Shape whole = embedding.whole;  // (V,C)
  const auto mine = static_cast<std::int64_t>(ids.of(info.rank).size());
  const auto make = [&](Shape shape, DType dtype, Category category, char const* what) {
    return be.allocate(shape, dtype, category, what);
  };
  const DType type = embedding.value.dtype();
  Buffer table = make(Shape(mine, whole.cols()), type, Category::activations, "embedding rows");
  Buffer sent = make(Shape(ids.maximum(ctx.tile), whole.cols()), type, Category::communication,
                     "embedding rows sent");
  Buffer received = make(Shape(std::min(mine, info.ranks * ctx.tile), whole.cols()), type,
                         Category::communication, "embedding rows received");
  Buffer index = make(Shape(ids.maximum(ctx.tile)), DType::i32, Category::communication,
                      "embedding rows asked for");
  const std::int64_t maximum = owned_rows(whole.rows(), 0, info.ranks).count;
  for (std::int64_t k = 0; k * ctx.tile < maximum; ++k) {
    const VocabularyTile tile(ids, info, whole.rows(), ctx.tile, k);
    const std::vector<std::int32_t> rows = asked_rows(ids, tile, embedding.owned.first);
    const auto asked = static_cast<std::int64_t>(rows.size());
    be.upload(index.tensor().row_block(0, asked), std::as_bytes(std::span(rows)));
    be.gather_rows(sent.tensor().row_block(0, asked), embedding.value,
                   index.tensor().row_block(0, asked));
    std::int64_t incoming = 0;
    for (const std::int64_t count : tile.mine_counts) incoming += count;
    ctx.ranks->wait(ctx.ranks->all_to_all(received.tensor().row_block(0, incoming),
                                          sent.tensor().row_block(0, asked), tile.mine_counts,
                                          tile.asked_counts));
    std::int64_t row = 0;
    for (RowRange const& range : tile.mine) {  // each owner's follow one another in `table`
      be.copy(table.tensor().row_block(range.first, range.count),
              received.tensor().row_block(row, range.count));
      row += range.count;
    }
  }
  return table;
}

}  // namespace

Buffer embed(EmbeddingContext const& ctx, Parameter const& embedding, Batch const& batch,
             DeviceBatch const& device) {
  Backend& be = ctx.backend;
  Buffer table, info;
  if (ctx.ranks != nullptr) {
    table = fetch_rows(ctx, embedding, *device.rank_ids);
    info = to_engine(be, places(batch), "places of tokens");
  }
  Buffer x = be.allocate(Shape(batch.rows(), embedding.whole.cols()), embedding.value.dtype(),
                         Category::activations, "embedded");  // (N,C)
  if (ctx.ranks == nullptr) {
    be.gather_rows(x, embedding.value, device.tokens);
  } else {
    be.gather_rows(x, table, info);
  }
  return x;
}

}  // namespace lomo
