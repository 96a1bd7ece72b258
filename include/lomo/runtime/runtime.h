#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "lomo/backend/process_group.h"
#include "lomo/config/config.h"
#include "lomo/model/decoder.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// Makes an engine, on ranks with its connection to the others.
using MakeEngine = std::function<Engine()>;

/// What a command computes with: an engine, a model on it and, for training, a trainer. Training,
/// evaluation, generation, plans, ablation and benchmarks all build it here and in this order, so
/// that what a plan accounts for is what a run takes.
class Runtime {
 public:
  /// Whether the rate of large products is measured first; see measure_gemm_peak. Before the model,
  /// so that the probe never adds to what a run needs.
  enum class Probe : std::uint8_t { skip, gemm_peak };

  /// A model of `shape`, on ranks this rank's rows, in the types and options of `config`
  /// (resolved). Its weights are undefined until one of the next two is called.
  Runtime(Engine engine, TrainConfig const& config, ModelConfig const& shape,
          Probe probe = Probe::skip);

  /// From a Hugging Face folder or a checkpoint; says the largest rounding that a conversion made.
  /// Collective. Throws what load_weights throws.
  void load(std::filesystem::path const& folder);
  void initialise(std::uint64_t seed);

  /// Takes the memory that the update rule keeps. Once.
  Trainer& start_training(Schedule const& schedule);

  Engine const& engine() const { return engine_; }
  Backend& backend() const { return *engine_.backend; }
  Ledger& ledger() const { return engine_.backend->ledger(); }
  Decoder& model() { return *model_; }
  Trainer& trainer() { return *trainer_; }
  /// Flops a second; 0: not measured.
  double gemm_peak() const { return gemm_peak_; }

 private:
  Engine engine_;  // outlives what lies in its memory
  TrainConfig config_;
  ModelConfig shape_;
  double gemm_peak_ = 0;
  std::optional<Decoder> model_;
  std::optional<Trainer> trainer_;
};

}  // namespace lomo
