#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/plan/device_profile.h"
#include "lomo/plan/plan.h"

namespace lomo {

/// Whether a plan fits a device.
struct Fit {
  std::size_t memory = 0;    // of the device
  std::size_t headroom = 0;  // of it for what is not engine memory
  std::size_t needed = 0;    // slab and headroom
  bool fits() const { return needed <= memory; }
};

/// A change of the config and what it would do.
struct Advice {
  std::string change;  // "--set train.recompute=none"
  std::size_t slab = 0;
  std::int64_t saved = 0;  // bytes of slab; below zero: it costs more
  double work = 1;         // flops of the step over those without the change
  bool fits = false;       // the device's memory
};

/// Everything that `lomo-train plan` prints.
struct PlanReport {
  std::string config;              // as named by the user
  std::string engine;              // "plan for the CUDA engine"
  std::string batch_source;        // "from data.train", "given", "the largest the config allows"
  Plan plan;                       // on ranks, of the one that needs most
  std::vector<MemoryUse> by_rank;  // none where all are alike
  TrainConfig resolved;
  Fit verdict;
  std::vector<DeviceProfile> devices;
  std::string slow_attention;  // why attention is slow there, if it is
  std::vector<Advice> advice;
  std::int64_t largest_tokens = -1;  // largest batch that fits, in tokens; -1: not asked
  int min_ranks = 0;                 // that fit with the whole batch of a step; 0: none do

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// Makes a rank of so many, all of which decide alike.
using MakeRank = std::function<Engine(int rank, int ranks)>;

/// Fills `advice`, `largest_tokens` and `min_ranks`: plans again with one change at a time, with
/// ever larger batches of sequences like those of `report.plan.step`, and with the batch shared out
/// to more or fewer. On ranks all are taken to have `batches`.
void advise(PlanReport& report, ModelConfig const& shape, PlannedBatches const& batches,
            MakeRank const& make_rank);

/// The memory of the planned step over its expected time on `device`, cut into `moments` of equal
/// length: what each category held when most was held.
std::vector<CategoryBytes> memory_over_time(Plan const& plan, DType type,
                                            DeviceProfile const& device, std::size_t moments);

/// That, stacked by category, as one HTML file that needs no other. `limit` bytes of engine memory
/// are marked where they are not far above the peak.
std::string plan_picture(Plan const& plan, DType type, DeviceProfile const& device,
                         std::string const& title, std::size_t limit);

/// One line for the start of a run, and of what does not train.
std::string plan_line(Plan const& plan);
std::string plan_line(MemoryUse const& held);

}  // namespace lomo
