#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/backend/event_log.h"
#include "lomo/backend/process_group.h"
#include "lomo/config/config.h"
#include "lomo/plan/batches.h"
#include "lomo/runtime/runtime.h"

namespace lomo {

/// Blocks of one name, all of them alive at the peak.
struct PlannedBlock {
  std::string name;
  Category category = Category::workspace;
  std::size_t count = 0;
  std::size_t bytes = 0;  // of all
};

/// What a run needs, found by running its trainer on an engine that computes nothing. On ranks,
/// what one of them needs.
struct Plan {
  int rank = 0, ranks = 1;
  std::int64_t parameters = 0;
  std::size_t peak = 0;          // most bytes held at one moment
  CategoryBytes at_peak{};       // what they were
  CategoryBytes maximum{};       // the most each category held at any moment
  std::size_t slab = 0;          // bytes the engine must reserve: the peak and its gaps, also when
                                 // norms turn out doubtful and are taken anew by tiles
  std::string phase = "start";   // when: "training step", "evaluation" or "start"
  BatchCounts batch;             // with which batch, which is
  std::int64_t peak_batch = -1;  //   this one of those of the phase (of an evaluation texts that
                                 //   are written come after the batches); -1: none
  std::size_t final_model = 0, checkpoint = 0;  // bytes on disk
  std::size_t transfer = 0;                     // host memory for loading and saving, bytes

  // ---- what plan_step finds out
  std::vector<PlannedBlock> blocks;  // alive at the peak, largest first
  BatchCounts step;                  // the training batch with the most tokens:
  double flops = 0;                  //   its step's work
  double sent = 0, received = 0;     //   bytes to and from other ranks
  EventLog log;                      //   and everything it did, from the start of the engine
  std::size_t step_begins = 0;       //   index of its first event
};

/// What a plan comes to. All ranks know the same.
struct PlannedWork {
  std::size_t slab = 0;  // the largest of any rank
  double flops = 0;      // of all batches, on this rank
};
/// The same without names and picture.
PlannedWork planned_work(TrainConfig const& config, ModelConfig const& shape,
                         PlannedBatches const& batches, MakeEngine const& make_dry);

/// What an engine holds.
struct MemoryUse {
  std::size_t peak = 0;     // most bytes at one moment
  CategoryBytes at_peak{};  // what they are
  std::size_t slab = 0;     // bytes to reserve: the peak and its gaps
};
/// By its ledger.
MemoryUse held_by(Ledger const& ledger);

/// What the evaluation of `batches` takes.
MemoryUse planned_evaluation(TrainConfig const& config, ModelConfig const& shape,
                             PlannedBatches const& batches, MakeEngine const& make_dry);
/// What continuing a prompt up to `total` tokens takes.
MemoryUse planned_generation(TrainConfig const& config, ModelConfig const& shape,
                             std::int64_t prompt, std::int64_t total, MakeEngine const& make_dry);

/// Throws Error(Exit::memory) when `what` ("the run") needs more engine memory than is `free`, or
/// than `budget` where there is one (0: none). `remedy` says what to do about it.
void require_memory(std::string const& what, std::size_t needed, std::size_t free,
                    std::size_t budget, std::string const& remedy);

/// Plans a run of `config` (resolved) on engines that `make_dry` makes, on ranks all of them
/// together, each with its own shares of the same batches.
Plan plan_memory(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
                 MakeEngine const& make_dry);
/// What was alive at its peak, and the step of the largest batch. On ranks all call this; those
/// that do not `note` it only go along.
void plan_step(Plan& plan, TrainConfig const& config, ModelConfig const& shape,
               PlannedBatches const& batches, MakeEngine const& make_dry, bool note = true);
/// Both.
Plan make_plan(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
               MakeEngine const& make_dry);

}  // namespace lomo
