#pragma once
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lomo/backend/ranks.h"
#include "lomo/backend/trace.h"
#include "lomo/data/batch.h"
#include "lomo/data/dataset.h"
#include "lomo/train/config.h"
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

/// Of many batches those that may need the most memory: every one that none before it exceeds or
/// equals in all counts.
class WorstBatches {
 public:
  void add(std::vector<Sequence const*> const& sequences);
  /// The share of a rank, of what they are shared out to.
  void add_share(std::vector<Sequence const*> const& sequences, int ranks);
  std::vector<Batch> take() { return std::move(batches_); }

 private:
  BatchCounts count(std::vector<Sequence const*> const& sequences);
  std::int64_t distinct(std::vector<Sequence const*> const& sequences);
  bool is_covered(BatchCounts const& counts) const;

  std::vector<std::int64_t> seen_;  // by id, the call of `distinct` that met it last
  std::int64_t calls_ = 0;
  std::vector<BatchCounts> counts_;
  std::vector<Batch> batches_;
};

/// What a run will put through its model, as far as memory is concerned. On ranks, a rank's share:
/// as large as the largest, which a plan takes all of them to have.
struct PlannedBatches {
  std::vector<Batch> train;
  std::vector<Batch> eval;
};
/// Of the data themselves: every batch of the first `batches` steps from where `sampler` stands.
PlannedBatches planned_batches(TrainConfig const& config, Inputs const& inputs, Sampler sampler,
                               std::int64_t batches, int ranks = 1);
/// Of the evaluation alone.
std::vector<Batch> planned_eval_batches(TrainConfig const& config, Inputs const& inputs,
                                        int ranks = 1);
/// Without data: the largest batch that the config lets pass, every token of it with a target.
PlannedBatches planned_batches(TrainConfig const& config, ModelConfig const& shape, int ranks = 1);
/// The largest share of a global batch, cut as evenly as its sequences allow.
BatchCounts share_of(BatchCounts const& global, int ranks);

/// Blocks of one name, all of them alive at the peak.
struct PlannedBlock {
  std::string name;
  Category category = Category::workspace;
  std::size_t count = 0;
  std::size_t bytes = 0;  // of all
};

/// What a run needs, found by running its trainer on an engine that computes nothing. On ranks,
/// what rank 0 needs, which owns no fewer rows than any.
struct Plan {
  int ranks = 1;
  std::int64_t parameters = 0;
  std::size_t peak = 0;              // most bytes held at one moment
  CategoryBytes at_peak{};           // what they were
  CategoryBytes most{};              // the most each category held at any moment
  std::size_t slab = 0;              // bytes the engine must reserve: the peak and its gaps, also
                                     // when norms turn out doubtful and are taken anew by tiles
  std::string phase;                 // when: "training step", "evaluation" or "start"
  BatchCounts batch;                 // with which batch
  std::vector<PlannedBlock> blocks;  // alive at the peak, largest first
  BatchCounts step;                  // the training batch with the most tokens:
  double flops = 0;                  //   its step's work
  double sent = 0, received = 0;     //   bytes to and from other ranks
  Trace trace;                       //   and everything it did, from the start of the engine
  std::size_t step_begins = 0;       //   index of its first event
  std::size_t final_model = 0, checkpoint = 0;  // bytes on disk
  std::size_t transfer = 0;                     // host memory for loading and saving, bytes
};

using MakeEngine = std::function<Engine()>;

/// What a plan comes to.
struct PlannedWork {
  std::size_t slab = 0;
  double flops = 0;  // of all batches
};
/// The same without names and picture.
PlannedWork planned_work(TrainConfig const& config, ModelConfig const& shape,
                         PlannedBatches const& batches, MakeEngine const& make_dry);

/// Bytes that an engine must reserve to evaluate `batches`.
std::size_t planned_evaluation(TrainConfig const& config, ModelConfig const& shape,
                               std::vector<Batch> const& batches, MakeEngine const& make_dry);
/// Bytes that an engine must reserve to continue a prompt up to `total` tokens.
std::size_t planned_generation(TrainConfig const& config, ModelConfig const& shape,
                               std::int64_t prompt, std::int64_t total, MakeEngine const& make_dry);

/// Throws Error(Exit::memory) when `what` ("the run") needs more engine memory than is `free`, or
/// than `budget` where there is one (0: none). `remedy` says what to do about it.
void require_memory(std::string const& what, std::size_t needed, std::size_t free,
                    std::size_t budget, std::string const& remedy);

/// Batches of the whole run that `config` asks for.
std::int64_t batches_of_run(TrainConfig const& config, Sampler const& sampler);

/// Plans a run of `config` (settled) on engines that `make_dry` makes.
Plan make_plan(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
               MakeEngine const& make_dry);

}  // namespace lomo
