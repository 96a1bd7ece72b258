#include "saver.h"

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/parallel/host_collectives.h"
#include "retention.h"

namespace lomo {

namespace fs = std::filesystem;

Saver::Saver(RunFolder const& folder, SaveSection const& save,
             AuxiliaryFiles const& auxiliary_files, std::optional<std::int64_t> saved,
             Communicator& host)
    : folder_(folder), save_(save), auxiliary_files_(auxiliary_files), saved_(saved), host_(host) {}

bool Saver::due(std::int64_t step) const {
  if (save_.every_steps > 0 && step % save_.every_steps == 0) return true;
  const std::chrono::duration<double, std::ratio<60>> minutes = Clock::now() - last_;
  return save_.every_minutes > 0 && minutes.count() >= save_.every_minutes;
}

fs::path Saver::write(Decoder& model, UpdateRule& rule, TrainingState const& state) {
  last_ = Clock::now();  // also of an attempt: a full disk is not tried again at every step
  const fs::path path = folder_.checkpoint(state.batches);
  if (saved_ == state.batches) return path;
  const auto start = Clock::now();
  save_checkpoint(path, model, rule, state, auxiliary_files_, save_.shard_size, host_);
  saved_ = state.batches;
  log::info("checkpoint {} ({})", path.string(),
            human_duration(std::chrono::duration<double>(Clock::now() - start).count()));
  if (is_root(host_)) discard_checkpoints(folder_.checkpoints(), save_);
  last_ = Clock::now();
  return path;
}

void Saver::try_write(Decoder& model, UpdateRule& rule, TrainingState const& state) {
  try {
    write(model, rule, state);
  } catch (Error const& error) {
    if (error.code() != Exit::failure) throw;
    if (!is_root(host_)) return;  // it failed on all
    log::error("the checkpoint of step {} could not be written: {}", state.batches, error.what());
    log::error("training goes on; {}; the next checkpoint is tried when it is due",
               saved_ ? "the last whole one is " + folder_.checkpoint(*saved_).string()
                      : std::string("there is no earlier one"));
  }
}

}  // namespace lomo
