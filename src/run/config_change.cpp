#include "config_change.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "lomo/core/error.h"

namespace lomo {

namespace {

// What may change: how far and how fast the rest of the run goes, what it reports and where it
// writes. Paths of data are free because the content is compared. Sections end with a dot.
constexpr std::array<std::string_view, 27> kFree{"optimizer.lr",
                                                 "optimizer.weight_decay",
                                                 "schedule.",
                                                 "clip.",
                                                 "gradient_check",
                                                 "train.epochs",
                                                 "train.max_steps",
                                                 "train.recompute",
                                                 "train.stop_after_skips",
                                                 "memory.",
                                                 "ranks.",
                                                 "eval.",
                                                 "save.",
                                                 "metrics.",
                                                 "spike_guard.action",
                                                 "spike_guard.threshold",
                                                 "spike_guard.cut",
                                                 "loss_scale.minimum",
                                                 "loss_scale.window",
                                                 "output",
                                                 "data.train",
                                                 "data.validation",
                                                 "data.eval_examples",
                                                 "data.prompts",
                                                 "data.samples",
                                                 "data.cache",
                                                 "model.shape"};

bool is_free(std::string const& key) {
  return std::any_of(kFree.begin(), kFree.end(), [&](std::string_view free) {
    return key == free || (free.back() == '.' && key.starts_with(free));
  });
}

using Flat = std::map<std::string, nlohmann::ordered_json>;

void flatten(nlohmann::ordered_json const& json, std::string const& prefix, Flat& into) {
  for (auto const& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object() && name != "model.shape") {
      flatten(value, name, into);
    } else {
      into[name] = value;
    }
  }
}

}  // namespace

std::vector<std::string> config_changes(TrainConfig const& before, TrainConfig const& now) {
  Flat old_keys, new_keys;
  flatten(to_json(before), "", old_keys);
  flatten(to_json(now), "", new_keys);
  std::vector<std::string> changes;
  std::string refused;
  for (auto const& [key, value] : new_keys) {
    if (old_keys[key] == value || key == "output") continue;
    const std::string change = key + ": " + old_keys[key].dump() + " -> " + value.dump();
    changes.push_back(change);
    if (!is_free(key)) refused += "\n  " + change;
  }
  if (refused.empty()) return changes;
  throw Error(Exit::usage,
              "--resume: these keys cannot change in the middle of a run:" + refused +
                  "\nTake them back, or begin a new run from the checkpoint's weights: set "
                  "model.path to the checkpoint and leave --resume out. Learning rate, schedule, "
                  "steps, clipping, memory, evaluation, saving and the paths of data may change.");
}

}  // namespace lomo
