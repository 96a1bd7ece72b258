#pragma once
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/process_group.h"
#include "lomo/config/config.h"
#include "lomo/data/tokenizer.h"
#include "lomo/plan/plan.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/step_recorder.h"
#include "lomo/train/evaluator.h"

namespace lomo {

/// What a command gives a run beside its config.
struct RunEnvironment {
  explicit RunEnvironment(ProcessGroup& all) : ranks(all) {}

  ProcessGroup& ranks;
  /// Called with an exception that ends the run, while the engine still exists.
  std::function<void(std::exception_ptr const&)> failing;
  Device device = Device::cpu;  // of the engine
  /// Makes the engine, with at most so many bytes of memory (0: what is free).
  std::function<Engine(std::size_t)> make_engine;
  /// Makes an engine that computes nothing and counts like that one.
  MakeEngine make_dry;
  /// Bytes that make_engine could get.
  std::function<std::size_t()> available_memory;
  bool override_memory = false;  // start even when the plan does not fit
  /// Asked between steps and between batches of an evaluation. The run stops when any rank is asked
  /// to. Before its first step, when there is nothing to save, who asks it to stop ends the process
  /// instead; that is over when `defer_stops` is called.
  std::function<bool()> stop_requested;
  std::function<void()> defer_stops;
  std::filesystem::path prompts;   // the shipped wording of the tasks
  std::string program;             // for the command that a message tells the user to type
  bool ignore_disk_space = false;  // start though the disk cannot hold what will be written
  TraceRequest trace;              // which steps to record
};

/// Throws Error(Exit::data) saying what belongs into a model folder when it is not one.
void require_model_folder(std::filesystem::path const& folder);

/// The tokenizer of a model folder, as the config says it is read; none when the data are ids and
/// the folder has none. Throws Error(Exit::data) naming the first token that has no row in an
/// embedding of `rows` (0: not known).
std::unique_ptr<Tokenizer> open_tokenizer(std::filesystem::path const& folder,
                                          TrainConfig const& config, std::int64_t rows);

enum class RunEnd {
  finished,
  stopped,   // on request, after saving
  diverged,  // after the last step; the model lies aside (RunFolder::damaged_model)
};

/// Trains as the config says: checks, reads data, then weights, evaluates, trains, saves. `resume`
/// names the checkpoint to continue from, or is empty; a config that differs from the checkpoint's
/// in keys that cannot change is Error(Exit::usage). `folder` is the run's own when it is continued
/// there, and none when config.output is to be made.
RunEnd run_training(TrainConfig config, std::filesystem::path const& resume,
                    std::optional<RunFolder> folder, RunEnvironment const& setting);

/// Evaluates a model as the config says and writes predictions to config.output when it is set.
EvalReport run_evaluation(TrainConfig config, RunEnvironment const& setting);

}  // namespace lomo
