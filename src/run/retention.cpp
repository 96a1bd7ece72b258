#include "retention.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/files.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/training_state.h"

namespace lomo {

namespace fs = std::filesystem;

bool smaller_is_better(std::string const& metric) {
  return metric == "loss" || metric == "perplexity";
}

std::string metric_name(SaveSection const& save, Json const& evaluation) {
  if (!save.best_metric.empty()) return save.best_metric;
  if (evaluation.is_object() && evaluation.contains("score")) return "score";
  return evaluation.is_object() && !evaluation.empty() ? evaluation.begin().key() : std::string();
}

std::vector<std::int64_t> to_discard(std::vector<Kept> const& all, SaveSection const& save,
                                     bool smaller) {
  if (save.keep_last == 0 || all.empty()) return {};
  std::set<std::int64_t> keep;
  const auto last = static_cast<std::size_t>(save.keep_last);
  for (std::size_t i = all.size() - std::min(all.size(), last); i < all.size(); ++i) {
    keep.insert(all[i].step);
  }
  std::vector<Kept> ranked;
  for (Kept const& one : all) {
    if (save.keep_every > 0 && one.step % save.keep_every == 0) keep.insert(one.step);
    if (one.metric) ranked.push_back(one);
  }
  // Of equals the earlier: it needed fewer steps.
  std::stable_sort(ranked.begin(), ranked.end(), [&](Kept const& a, Kept const& b) {
    return smaller ? *a.metric < *b.metric : *a.metric > *b.metric;
  });
  const auto best = std::min(ranked.size(), static_cast<std::size_t>(save.keep_best));
  for (std::size_t i = 0; i < best; ++i) keep.insert(ranked[i].step);
  std::vector<std::int64_t> discard;
  for (Kept const& one : all) {
    if (!keep.contains(one.step)) discard.push_back(one.step);
  }
  return discard;
}

void discard_checkpoints(fs::path const& checkpoints, SaveSection const& save) {
  std::vector<Kept> all;
  bool smaller = smaller_is_better(save.best_metric);
  for (NamedCheckpoint const& named : list_checkpoints(checkpoints)) {
    Kept& one = all.emplace_back();
    one.step = named.step;
    if (save.keep_best == 0) continue;
    try {
      const Json evaluation = read_training_state(named.path).evaluation;
      const std::string name = metric_name(save, evaluation);
      if (evaluation.is_object() && evaluation.contains(name) && evaluation[name].is_number()) {
        one.metric = evaluation[name].get<double>();
        smaller = smaller_is_better(name);
      }
    } catch (Error const&) {
      continue;  // damaged: nothing is known of it
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
  const bool periodic = save.every_steps > 0 || save.every_minutes > 0;
  if (!periodic) return 1;  // when stopped
  const std::int64_t saves = save.every_steps > 0 ? total / save.every_steps + 1 : 1;
  if (save.keep_last == 0) return saves;
  std::int64_t maximum = save.keep_last + save.keep_best;
  if (save.keep_every > 0) maximum += total / save.keep_every;
  return save.every_minutes > 0 ? maximum : std::min(maximum, saves);
}

}  // namespace lomo
