#pragma once
#include <compare>
#include <cstdint>
#include <utility>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/data/dataset.h"
#include "lomo/parallel/sharded_batch.h"
#include "lomo/train/generation.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// The counts of a batch that decide how much memory it takes.
struct BatchCounts {
  std::int64_t tokens = 0;     // N
  std::int64_t targets = 0;    // N'
  std::int64_t sequences = 0;  // S
  std::int64_t ids = 0;        // U, distinct
  auto operator<=>(BatchCounts const&) const = default;
};
BatchCounts counts_of(Batch const& batch);

/// A batch with these counts, its tokens dealt out evenly to the sequences. Throws
/// Error(Exit::usage) when there can be none: more targets than tokens, more sequences than tokens.
Batch batch_with(BatchCounts const& counts);
/// The largest share of a global batch, cut as evenly as its sequences allow.
BatchCounts shard_batch(BatchCounts const& global, int ranks);

/// What a run will put through its model, as far as memory is concerned. On ranks, a rank's shards.
struct PlannedBatches {
  std::vector<ShardedBatch> train;
  std::vector<ShardedBatch> eval;
  std::vector<GenerationLengths> generations;  // answers that evaluations let the model write
};

/// A global batch, as the sequences that it is made of.
using DrawnBatch = std::vector<SequenceView>;

/// Of all global batches of a run those that may need the most memory. Views the data.
struct DrawnBatches {
  std::vector<DrawnBatch> train;
  std::vector<DrawnBatch> eval;
  std::vector<GenerationLengths> generations;
  PlannedBatches of_rank(int rank, int ranks) const;
};

/// Of many global batches, which are shared out to ranks, those that may need the most memory of a
/// rank: every one of which some rank has a share that no other needs as much for. What a rank
/// needs depends on its own share and on the sums over all. A batch without any target is none,
/// since nothing is done with it.
class WorstBatches {
 public:
  WorstBatches(TrainConfig const& config, ModelConfig const& shape, int ranks);
  void add(DrawnBatch const& global);
  std::vector<DrawnBatch> take();

 private:
  /// More of any count needs no less, where a pass takes the same course.
  struct Needs {
    BatchCounts own;
    // Of all ranks: A, U, and what of them is under way at once.
    std::int64_t targets = 0, ids = 0, chunk = 0, ids_of_tile = 0, ids_of_gradient_tile = 0;
    bool loss_rows_only = false, keeps_logits = false;
    bool covers(Needs const& other) const;
  };
  struct Found {
    DrawnBatch batch;
    std::vector<Needs> needs;  // by rank
  };
  BatchCounts count(DrawnBatch const& share);
  std::vector<Needs> needs_of(DrawnBatch const& global);
  void keep_if_worse(Found found);

  HeadOptions head_;
  std::int64_t gradient_tile_;  // rows of the embedding
  std::int64_t vocab_;
  int ranks_;
  std::vector<std::int64_t> seen_;  // by id, the count that met it last
  std::int64_t counted_ = 0;
  std::vector<Found> found_;
};

/// Of the data: every batch of the first `batches` steps from where `sampler` stands, and those of
/// evaluation.
DrawnBatches drawn_batches(TrainConfig const& config, ModelConfig const& shape,
                           Inputs const& inputs, Sampler sampler, std::int64_t batches, int ranks);
/// Of the evaluation alone.
DrawnBatches drawn_evaluation(TrainConfig const& config, ModelConfig const& shape,
                              Inputs const& inputs, int ranks);
/// Without data: the largest batch that the config lets pass, every token of it with a target, and
/// of it a share as large as any rank's.
PlannedBatches planned_batches(TrainConfig const& config, ModelConfig const& shape, int ranks = 1);

/// Batches of the whole run that `config` asks for.
std::int64_t batches_of_run(TrainConfig const& config, Sampler const& sampler);

}  // namespace lomo
