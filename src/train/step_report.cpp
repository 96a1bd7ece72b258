// What a step is called in words.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "lomo/core/text.h"
#include "lomo/train/trainer.h"

namespace lomo {

std::string_view to_string(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::applied:
      return "applied";
    case StepOutcome::no_targets:
      return "no targets";
    case StepOutcome::nonfinite:
      return "not finite";
    case StepOutcome::overflow:
      return "overflow";
    case StepOutcome::spike:
      return "spike";
  }
  return "?";
}

std::string describe_alarm(StepReport const& report) {
  std::string text;
  if (report.is_spike) {
    text = "a step is a spike: loss " + human_number(report.loss) + " (z " +
           human_number(report.spike.loss) + "), gradient norm " + human_number(report.grad_norm) +
           " (z " + human_number(report.spike.norm) + ")";
  }
  if (report.rise.steps == 0) return text;
  if (!text.empty()) text += "; ";
  return text + "the loss of the last four steps, " + human_number(report.rise.now) +
         ", is above that at the start, " + human_number(report.rise.start);
}

std::string describe(FusedUpdate::UpdatedTensors const& partial) {
  constexpr std::size_t kListed = 4;
  std::string text = "There was no gradient check before the update (gradient_check \"tile\"): ";
  text += std::to_string(partial.updated.size()) + " tensors were already updated";
  for (std::size_t i = 0; i < std::min(kListed, partial.updated.size()); ++i) {
    text += (i == 0 ? " (" : ", ") + partial.updated[i];
  }
  if (partial.updated.size() > kListed) text += ", ...";
  if (!partial.updated.empty()) text += ")";
  return text + " and " + partial.stopped_in +
         " up to its first tile that is not finite; nothing after it was touched.";
}

}  // namespace lomo
