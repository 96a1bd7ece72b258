#include "lomo/config/check.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "lomo/config/keys.h"
#include "lomo/core/error.h"
#include "lomo/data/metrics.h"

namespace lomo {

namespace {

std::string number(std::int64_t value) {
  return std::to_string(value);
}

std::string steps_of_run(RunLength const& length) {
  return "the run has " + number(length.steps) + (length.steps == 1 ? " step" : " steps");
}

/// Whether something that is due every so many of `count` comes before the last of them.
bool comes(std::int64_t every, std::int64_t count) {
  return every > 0 && every < count;
}

/// Ends of epochs that come before the end of the run.
std::int64_t epoch_ends(RunLength const& length) {
  return length.steps_per_epoch > 0 ? (length.steps - 1) / length.steps_per_epoch : 0;
}

bool evaluates_in_between(TrainConfig const& config, RunLength const& length) {
  return length.evaluates && (comes(config.eval.every_steps, length.steps) ||
                              comes(config.eval.every_epochs, epoch_ends(length) + 1));
}

void check_evaluations(TrainConfig const& config, RunLength const& length,
                       std::vector<std::string>& list) {
  EvalSection const& eval = config.eval;
  if ((eval.every_steps > 0 || eval.every_epochs > 0) && !length.evaluates) {
    list.push_back(std::string(eval.every_steps > 0 ? "eval.every_steps" : "eval.every_epochs") +
                   " is set, but there is nothing to evaluate on: name data.validation, or set "
                   "data.validation_share.");
    return;
  }
  if (eval.every_steps > 0 && !comes(eval.every_steps, length.steps)) {
    list.push_back("eval.every_steps " + number(eval.every_steps) +
                   " never comes: " + steps_of_run(length) + ".");
  }
  if (eval.every_epochs > 0 && !comes(eval.every_epochs, epoch_ends(length) + 1)) {
    list.push_back("eval.every_epochs " + number(eval.every_epochs) +
                   " never comes: " + number(epoch_ends(length)) +
                   (epoch_ends(length) == 1 ? " epoch ends" : " epochs end") +
                   " before the last step.");
  }
}

void check_saves(TrainConfig const& config, RunLength const& length,
                 std::vector<std::string>& list) {
  SaveSection const& save = config.save;
  const bool by_steps = save.every_steps > 0, by_clock = save.every_minutes > 0;
  if (by_steps && save.every_steps > length.steps) {
    list.push_back("save.every_steps " + number(save.every_steps) + " never comes: " +
                   steps_of_run(length) + ". A checkpoint is written after the last one only.");
  }
  const bool writes = by_steps || by_clock || save.final_model == FinalModel::best;
  if (!writes) {
    for (auto const& [value, key] :
         {std::pair{save.keep_every, "save.keep_every"}, {save.keep_best, "save.keep_best"}}) {
      if (value == 0) continue;
      list.push_back(std::string(key) +
                     " is set, but no checkpoints are written to keep: set "
                     "save.every_steps or save.every_minutes.");
    }
    return;
  }
  if (by_steps && !by_clock && save.keep_every > 0 && save.final_model != FinalModel::best) {
    const std::int64_t match = std::lcm(save.keep_every, save.every_steps);
    if (match > length.steps) {
      list.push_back("save.keep_every " + number(save.keep_every) +
                     " matches no checkpoint: they are written every " + number(save.every_steps) +
                     " steps, and " + steps_of_run(length) + ".");
    }
  }
  if (save.keep_best == 0 || save.final_model == FinalModel::best) return;
  EvalSection const& eval = config.eval;
  const bool meet = by_clock || eval.every_epochs > 0 ||
                    (by_steps && eval.every_steps > 0 &&
                     std::lcm(eval.every_steps, save.every_steps) < length.steps);
  if (!evaluates_in_between(config, length) || !meet) {
    list.push_back(
        "save.keep_best is set, but no checkpoint comes with an evaluation to judge it by: make "
        "save.every_steps a multiple of eval.every_steps.");
  }
}

void check_length(TrainConfig const& config, RunLength const& length,
                  std::vector<std::string>& list) {
  const TrainSection& train = config.train;
  if (train.max_steps > length.steps) {
    list.push_back("train.max_steps " + number(train.max_steps) +
                   " never comes: with train.epochs " + number(train.epochs) + " " +
                   steps_of_run(length) + ".");
  }
}

void check_schedule(TrainConfig const& config, RunLength const& length,
                    std::vector<std::string>& list) {
  ScheduleSection const& schedule = config.schedule;
  if (schedule.warmup >= 1 && schedule.warmup > static_cast<double>(length.steps)) {
    list.push_back("schedule.warmup " + number(static_cast<std::int64_t>(schedule.warmup)) +
                   " is longer than the run: " + steps_of_run(length) +
                   (schedule.published ? ", and the warm-up is cut to it."
                                       : ", and the rate never reaches optimizer.lr."));
  }
}

std::string list_of(std::vector<std::string> const& words) {
  std::string text;
  for (std::string const& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::vector<std::string> warnings(TrainConfig const& config, RunLength const& length) {
  std::vector<std::string> list;
  check_length(config, length, list);
  check_schedule(config, length, list);
  check_evaluations(config, length, list);
  check_saves(config, length, list);
  return list;
}

std::vector<std::string> unused_keys(TrainConfig const& config) {
  TrainConfig copy = config, defaults;
  const auto sections = config_sections(copy), default_sections = config_sections(defaults);
  std::vector<std::string> list;
  for (std::size_t s = 0; s < sections.size(); ++s) {
    for (std::size_t k = 0; k < sections[s].keys.size(); ++k) {
      ConfigKey const& key = sections[s].keys[k];
      if (!key.readers.includes || key.readers.includes(config)) continue;
      if (key.write() == default_sections[s].keys[k].write()) continue;
      list.push_back(sections[s].path(key) + " is set, but only " + key.readers.who + " uses it.");
    }
  }
  return list;
}

void require_meaning(TrainConfig const& config, RunLength const& length) {
  SaveSection const& save = config.save;
  if (!save.best_metric.empty()) {
    const std::vector<std::string> known = metric_names(config.data.task);
    if (std::ranges::find(known, save.best_metric) == known.end()) {
      const std::string nearest = nearest_word(save.best_metric, known);
      throw Error(Exit::usage, "save.best_metric is \"" + save.best_metric +
                                   "\"; the metrics of task " + config.data.task + " are " +
                                   list_of(known) +
                                   (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
    }
  }
  if (save.final_model == FinalModel::best && !evaluates_in_between(config, length)) {
    throw Error(Exit::usage,
                "save.final_model is \"best\", but no evaluation comes before the last step to "
                "choose by: set eval.every_steps or eval.every_epochs, and data.validation.");
  }
}

}  // namespace lomo
