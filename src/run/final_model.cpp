#include "final_model.h"

#include <string>

#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/run/training_state.h"
#include "save_folder.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

/// The checkpoint with the best evaluation, or empty when that is the model after the last step or
/// there is none. Rank 0 looks, so that all ranks go the same way.
fs::path best_before_the_end(RunFolder const& folder, SaveSection const& save,
                             std::optional<Ranked> const& last, Communicator& host) {
  return broadcast_from_root(host, [&] {
    const auto best = best_checkpoint(folder.checkpoints(), save);
    if (!best) return std::string();
    const bool at_end = last && is_better(*last, *best);
    const fs::path path = at_end ? fs::path() : folder.checkpoint(best->step);
    Ranked const& one = at_end ? *last : *best;
    log::info("best evaluation: {} {} after step {}{}", one.metric, human_number(one.value),
              one.step, at_end ? ", the last one" : ", \"" + path.string() + "\"");
    return path.string();
  });
}

}  // namespace

fs::path write_final_model(RunFolder const& folder, SaveSection const& save,
                           std::optional<Ranked> const& last, bool damaged, Communicator& host,
                           std::function<void(fs::path const&)> const& fill) {
  const fs::path best = best_before_the_end(folder, save, last, host);
  if (save.final_model == FinalModel::none) return {};
  if (damaged) on_root(host, [&] { fs::remove_all(folder.damaged_model()); });
  fs::path place = damaged ? folder.damaged_model() : folder.model();
  const bool copies = !damaged && save.final_model == FinalModel::best && !best.empty();
  save_folder(place, host, [&](fs::path const& partial) {
    if (!copies) return fill(partial);
    on_root(host, [&] { copy_model(best, partial); });
  });
  return place;
}

}  // namespace lomo
