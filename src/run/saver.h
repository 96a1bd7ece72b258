#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "lomo/config/config.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/training_state.h"

namespace lomo {

/// When and where a run's checkpoints are written, and which stay.
class Saver {
 public:
  /// `saved` is the step of a checkpoint that is there already. Ranks write together,
  /// by the collectives of `host`.
  Saver(RunFolder const& folder, SaveSection const& save, AuxiliaryFiles const& auxiliary_files,
        std::optional<std::int64_t> saved, Communicator& host);

  /// Whether save.every_steps or save.every_minutes asks for one after so many steps.
  bool due(std::int64_t step) const;
  /// The newest checkpoint that is known to be whole; empty: none was written.
  std::filesystem::path last() const {
    return saved_ ? folder_.checkpoint(*saved_) : std::filesystem::path();
  }
  /// Writes the checkpoint of state.batches, unless it is there, then removes old ones. Throws as
  /// save_checkpoint does.
  std::filesystem::path write(Decoder& model, UpdateRule& rule, TrainingState const& state);
  /// The same, but a disk that does not take it is reported and the run goes on.
  void try_write(Decoder& model, UpdateRule& rule, TrainingState const& state);

 private:
  using Clock = std::chrono::steady_clock;
  RunFolder const& folder_;
  SaveSection save_;
  AuxiliaryFiles const& auxiliary_files_;
  std::optional<std::int64_t> saved_;
  Communicator& host_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace lomo
