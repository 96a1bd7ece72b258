#include "lomo/runtime/runtime.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lomo/core/log.h"
#include "lomo/model/checkpoint.h"
#include "lomo/train/gemm_peak.h"

namespace lomo {

Runtime::Runtime(Engine engine, TrainConfig const& config, ModelConfig const& shape, Probe probe)
    : engine_(std::move(engine)), config_(config), shape_(shape) {
  const DType dtype = *config_.model.dtype;
  if (probe == Probe::gemm_peak) gemm_peak_ = measure_gemm_peak(backend(), dtype);
  model_.emplace(backend(), shape_, dtype, head_options(config_), engine_.ranks());
}

void Runtime::load(std::filesystem::path const& folder) {
  const LoadReport mine = load_weights(backend(), model_->weights(), folder);
  if (engine_.ranks().rank() == 0) {
    for (std::string const& note : mine.notes) log::warn("{}", note);
  }
  const double largest = std::ranges::max(engine_.ranks().all_gather_host(mine.largest_rounding));
  if (largest == 0) return;
  log::info("weights converted to {}: largest relative rounding {:.2e}{}",
            to_string(*config_.model.dtype), largest,
            largest == mine.largest_rounding ? " (" + mine.worst_tensor + ")" : "");
}

void Runtime::initialise(std::uint64_t seed) {
  initialise_weights(backend(), model_->weights(), shape_, seed);
}

Trainer& Runtime::start_training(Schedule const& schedule) {
  return trainer_.emplace(*model_, config_, schedule);
}

}  // namespace lomo
