#include "lomo/config/change.h"

#include "lomo/config/keys.h"
#include "lomo/core/error.h"

namespace lomo {

std::vector<std::string> config_changes(TrainConfig const& before, TrainConfig const& now) {
  TrainConfig old_config = before, new_config = now;
  const auto old_sections = config_sections(old_config), new_sections = config_sections(new_config);
  std::vector<std::string> changes;
  std::string refused;
  for (std::size_t s = 0; s < new_sections.size(); ++s) {
    for (std::size_t k = 0; k < new_sections[s].keys.size(); ++k) {
      ConfigKey const& key = new_sections[s].keys[k];
      const auto was = old_sections[s].keys[k].write(), is = key.write();
      const std::string path = new_sections[s].path(key);
      if (was == is || path == "output") continue;
      const std::string change = path + ": " + was.dump() + " -> " + is.dump();
      changes.push_back(change);
      if (!key.resume_may_change) refused += "\n  " + change;
    }
  }
  if (refused.empty()) return changes;
  throw Error(Exit::usage,
              "--resume: these keys cannot change in the middle of a run:" + refused +
                  "\nTake them back, or begin a new run from the checkpoint's weights: set "
                  "model.path to the checkpoint and leave --resume out. Learning rate, schedule, "
                  "steps, clipping, memory, evaluation, saving and the paths of data may change.");
}

}  // namespace lomo
