#include "retention.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/metrics.h"
#include "lomo/io/files.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/training_state.h"
#include "lomo/train/evaluator.h"

namespace lomo {

namespace fs = std::filesystem;

std::string metric_name(SaveSection const& save, Json const& evaluation) {
  if (!save.best_metric.empty()) return save.best_metric;
  // Of the answers that a model writes exact_match counts but a few, and of long ones none.
  for (char const* name : {"score", "loss"}) {
    if (evaluation.is_object() && evaluation.contains(name)) return name;
  }
  return evaluation.is_object() && !evaluation.empty() ? evaluation.begin().key() : std::string();
}

namespace {

/// Nothing of a checkpoint that is damaged, or was not evaluated.
std::optional<Ranked> rank_of(NamedCheckpoint const& named, SaveSection const& save) {
  try {
    return ranked(save, read_training_state(named.path).evaluation, named.step);
  } catch (Error const&) {
    return std::nullopt;
  }
}

}  // namespace

std::vector<std::int64_t> to_discard(std::vector<Kept> const& all, SaveSection const& save,
                                     bool smaller) {
  if (save.keep_last == 0 || all.empty()) return {};
  std::set<std::int64_t> keep;
  const auto last = static_cast<std::size_t>(save.keep_last);
  for (std::size_t i = all.size() - std::min(all.size(), last); i < all.size(); ++i) {
    keep.insert(all[i].step);
  }
  std::vector<Kept> evaluated;
  for (Kept const& one : all) {
    if (save.keep_every > 0 && one.step % save.keep_every == 0) keep.insert(one.step);
    if (one.metric) evaluated.push_back(one);
  }
  // Of equals the earlier: it needed fewer steps.
  std::stable_sort(evaluated.begin(), evaluated.end(), [&](Kept const& a, Kept const& b) {
    return smaller ? *a.metric < *b.metric : *a.metric > *b.metric;
  });
  const auto best = std::min(evaluated.size(), static_cast<std::size_t>(save.keep_best));
  for (std::size_t i = 0; i < best; ++i) keep.insert(evaluated[i].step);
  std::vector<std::int64_t> discard;
  for (Kept const& one : all) {
    if (!keep.contains(one.step)) discard.push_back(one.step);
  }
  return discard;
}

std::optional<Ranked> ranked(SaveSection const& save, Json const& evaluation, std::int64_t step) {
  const std::string name = metric_name(save, evaluation);
  if (!evaluation.is_object() || !evaluation.contains(name) || !evaluation[name].is_number()) {
    return std::nullopt;
  }
  return Ranked{step, name, evaluation[name].get<double>()};
}

bool is_better(Ranked const& a, Ranked const& b) {
  return smaller_is_better(a.metric) ? a.value < b.value : a.value > b.value;
}

std::optional<Ranked> best_checkpoint(fs::path const& checkpoints, SaveSection const& save) {
  std::optional<Ranked> best;
  for (NamedCheckpoint const& named : list_checkpoints(checkpoints)) {
    const auto one = rank_of(named, save);
    if (one && (!best || is_better(*one, *best))) best = one;
  }
  return best;
}

void discard_checkpoints(fs::path const& checkpoints, SaveSection const& save) {
  std::vector<Kept> all;
  bool smaller = false;
  for (NamedCheckpoint const& named : list_checkpoints(checkpoints)) {
    Kept& one = all.emplace_back();
    one.step = named.step;
    if (save.keep_best == 0) continue;
    if (const auto known = rank_of(named, save)) {
      one.metric = known->value;
      smaller = smaller_is_better(known->metric);
    }
  }
  for (const std::int64_t step : to_discard(all, save, smaller)) {
    const std::string name = "step-" + std::to_string(step);
    // Renamed first: a removal that is cut short leaves no half checkpoint under its name.
    const fs::path away = checkpoints / (".discard-" + name);
    std::error_code error;
    fs::remove_all(away, error);
    fs::rename(checkpoints / name, away, error);
    if (!error) fs::remove_all(away, error);
    if (error) {
      log::warn("cannot remove the old checkpoint {}: {}", (checkpoints / name).string(),
                error.message());
    }
  }
}

std::int64_t max_checkpoints(SaveSection const& save, std::int64_t total) {
  if (save.keep_last == 0) return 0;
  const std::int64_t every = save.keep_every > 0 ? total / save.keep_every : 0;
  return save.keep_last + save.keep_best + every;
}

}  // namespace lomo
