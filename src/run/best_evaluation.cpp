#include "best_evaluation.h"

#include <cmath>
#include <fstream>

#include "lomo/data/metrics.h"
#include "lomo/train/evaluator.h"
#include "retention.h"

namespace lomo {

void BestEvaluation::add(Json const& metrics, std::int64_t step) {
  const std::string name = metric_name(save_, metrics);
  if (!metrics.is_object() || !metrics.contains(name) || !metrics[name].is_number()) return;
  const double value = metrics[name].get<double>();
  if (!std::isfinite(value)) return;
  // Of equals the earlier: it needed fewer steps.
  const bool better =
      !found_ || (smaller_is_better(name) ? value < found_->value : value > found_->value);
  if (better) found_ = Found{name, value, step};
}

void BestEvaluation::add_before(std::filesystem::path const& metrics, std::int64_t step) {
  std::ifstream lines(metrics);
  for (std::string text; std::getline(lines, text);) {
    if (text.find(R"("event":"eval")") == std::string::npos) continue;
    Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line["batch"].is_number_integer() || line["batch"] > step) continue;
    const auto batch = line["batch"].get<std::int64_t>();
    for (char const* other : {"event", "tag", "batch", "examples", "seconds"}) line.erase(other);
    add(line, batch);
  }
}

}  // namespace lomo
