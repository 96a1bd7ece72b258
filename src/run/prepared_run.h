#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk_space.h"
#include "lomo/config/check.h"
#include "lomo/model/checkpoint.h"
#include "lomo/run/run.h"
#include "lomo/run/training_state.h"

namespace lomo {

/// What a run has before it has an engine: config, shape of the model, data, and where it stands in
/// them. Making it reads and checks all that needs no weights, the cheapest first, so that bad
/// input fails in seconds: config, model folder, headers of the weights, room on the disk, output
/// folder, data. What their number of steps decides (the disk once more) is checked after the data.
/// Collective: ranks that were given different things are told so.
struct PreparedRun {
  /// `resume`: the checkpoint to resume from, or empty. `new_output`: config.output is to be made.
  PreparedRun(TrainConfig given, std::filesystem::path const& resume, bool new_output,
              RunEnvironment const& setting);
  PreparedRun(PreparedRun const&) = delete;  // the sampler draws from `inputs`

  TrainConfig config;            // resolved
  std::filesystem::path source;  // the folder weights and tokenizer come from
  bool resuming;
  ModelConfig shape;
  AuxiliaryFiles auxiliary_files;  // of source
  std::unique_ptr<Tokenizer> tokenizer;
  Inputs inputs;
  std::optional<Sampler> sampler;    // stands where the run begins or goes on
  std::int64_t total = 0;            // batches of the whole run
  TrainingState state;               // of the checkpoint, or of a run that has done nothing
  std::vector<std::string> changes;  // of the config, on resume

 private:
  void check_config_changes();
  /// What any run of this config writes, before its length is known.
  DiskNeed least_disk_need(RunEnvironment const& setting) const;
  /// The same of a run of this length.
  DiskNeed disk_need(DiskNeed least, RunLength const& length) const;
  void describe_data() const;
  void check_resumed_data();
  std::int64_t sequences() const;
};

}  // namespace lomo
