#include <array>
#include <span>
#include <string>

#include "lomo/core/error.h"
#include "lomo/model/decoder.h"

namespace lomo {

namespace {

void require_ids(std::vector<std::int32_t> const& ids, std::int64_t vocab, char const* what) {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab) {
      throw Error(Exit::data, std::string(what) + " " + std::to_string(id) +
                                  " is not below the model's vocabulary of " +
                                  std::to_string(vocab));
    }
  }
}

/// A list, and the view of it in engine memory that is wanted.
struct List {
  std::span<std::int32_t const> values;
  Tensor* view;
};

/// All lists in one block, by one copy.
Buffer upload_lists(Backend& backend, std::span<List const> lists) {
  constexpr std::size_t kAlign = 16 / sizeof(std::int32_t);
  std::vector<std::int32_t> all;
  std::vector<std::size_t> begins;
  for (List const& list : lists) {
    begins.push_back(all.size());
    all.insert(all.end(), list.values.begin(), list.values.end());
    all.resize((all.size() + kAlign - 1) / kAlign * kAlign);
  }
  Buffer memory = backend.allocate(Shape(static_cast<std::int64_t>(all.size())), DType::i32,
                                   Category::activations, "batch");
  backend.upload(memory, std::as_bytes(std::span(all)));
  for (std::size_t i = 0; i < lists.size(); ++i) {
    *lists[i].view = memory.tensor().row_block(static_cast<std::int64_t>(begins[i]),
                                               static_cast<std::int64_t>(lists[i].values.size()));
  }
  return memory;
}

}  // namespace

DeviceBatch Decoder::upload(ShardedBatch const& batch) {
  Batch const& mine = batch.mine;
  if (batch.ranks() != ranks_.size() || batch.rank != ranks_.rank()) {
    throw Error("a batch of rank " + std::to_string(batch.rank) + " of " +
                std::to_string(batch.ranks()) + ", a model on rank " +
                std::to_string(ranks_.rank()) + " of " + std::to_string(ranks_.size()));
  }
  require_ids(mine.tokens, config_.vocab, "token id");
  require_ids(mine.targets, config_.vocab, "target id");
  DeviceBatch out;
  out.info = rank_info(ranks_);
  out.longest = mine.longest;
  out.loss_longest = mine.loss_longest;
  out.ids = RankIds(batch);
  out.all_loss_rows = loss_rows(batch, head_.rows_of_rank(ranks_.size()));
  for (ShardedBatch::Shard const& shard : batch.shards) out.rows_of_rank.push_back(shard.rows);
  const LookupLists lookup =
      lookup_lists(batch, out.ids, config_.vocab, head_.vocabulary_tile(ranks_.size()));
  Tensor ids;
  const std::array lists = {List{mine.tokens, &out.tokens},
                            List{mine.positions, &out.positions},
                            List{mine.starts, &out.starts},
                            List{mine.loss_rows, &out.loss_rows},
                            List{mine.loss_starts, &out.loss_starts},
                            List{mine.loss_positions, &out.loss_positions},
                            List{mine.id_order, &out.id_order},
                            List{mine.id_segments, &out.id_segments},
                            List{out.all_loss_rows.targets, &out.all_targets},
                            List{lookup.token_rows, &out.token_rows},
                            List{lookup.asked, &out.asked_rows},
                            List{out.ids.all(), &ids}};
  out.lists = upload_lists(backend_, lists);
  out.ids.set_engine(ids);
  return out;
}

}  // namespace lomo
