#include "closing_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "lomo/core/text.h"
#include "lomo/train/progress.h"
#include "rank_memory.h"

namespace lomo {

namespace {

constexpr std::array kAllParts{Part::data, Part::setup, Part::training, Part::evaluation,
                               Part::saving};

constexpr std::size_t kColumn = 18, kWidth = 80;

std::string row(std::string const& label, std::string const& value) {
  std::string text = "  " + label;
  text.resize(std::max(text.size(), kColumn + 2), ' ');
  return text + " " + value + "\n";
}

/// A list with commas, in as many rows as it takes to stay within 80 columns.
std::string list_row(std::string label, std::string list) {
  constexpr std::size_t kRoom = kWidth - kColumn - 4;
  std::string text;
  while (list.size() > kRoom) {
    const std::size_t comma = list.rfind(", ", kRoom - 1);
    if (comma == std::string::npos) break;
    text += row(std::exchange(label, ""), list.substr(0, comma + 1));
    list.erase(0, comma + 2);
  }
  return text + row(label, list);
}

std::string number(Json const& metrics, std::string const& name) {
  if (!metrics.is_object() || !metrics.contains(name) || !metrics[name].is_number()) return "-";
  return human_number(metrics[name].get<double>());
}

std::string columns(std::string const& a, std::string const& b) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%10s %10s", a.c_str(), b.c_str());
  return text.data();
}

std::string two_digits(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string time_by_part(RunClock const& clock) {
  std::string parts;
  for (const Part part : kAllParts) {
    if (clock.seconds(part) < 0.05) continue;
    parts += (parts.empty() ? ": " : ", ") + std::string(to_string(part)) + " " +
             human_duration(clock.seconds(part));
  }
  return human_duration(clock.seconds()) + parts;
}

}  // namespace

ClosingTable::ClosingTable(Progress const& progress, Ledger const& ledger)
    : first_loss(progress.first_loss()),
      last_loss(progress.smoothed_loss()),
      tokens(progress.tokens()),
      targets(progress.targets()),
      tokens_per_second(progress.tokens_per_second()),
      mfu(progress.mfu()),
      hfu(progress.hfu()),
      rounding(progress.rounding()),
      memory(ledger.at_peak()),
      peak_bytes(ledger.peak()) {}

std::string ClosingTable::render() const {
  std::string text = "\n" + row("", columns("before", "after"));
  if (first_loss) {
    text += row("training loss", columns(human_number(*first_loss), human_number(last_loss)) +
                                     "   first step, mean of the last");
  }
  Json const& names = after.is_object() && !after.empty() ? after : before;
  if (names.is_object()) {
    for (auto const& [name, value] : names.items()) {
      text += row(name, columns(number(before, name), number(after, name)));
    }
  }
  if (best) {
    std::string where = " after step " + human_count(best->step);
    if (best->step == 0) {
      where = ", before training";
    } else if (best_model.empty()) {
      where += ", of which no checkpoint was kept";
    } else {
      where += ", in " + shell_quoted(best_model);
    }
    text += row("best " + best->metric, human_number(best->value) + where);
  }
  text += row("steps", human_count(steps) + " applied, " + human_count(skipped) + " skipped");
  text += row("epochs", two_digits(epochs));
  text += row("tokens", human_count(tokens) + ", " + human_count(targets) + " of them targets");
  if (resumed_after > 0) {
    text += row("", "times, tokens and training loss: since step " + human_count(resumed_after));
  }
  text += list_row("time", time_by_part(clock));
  std::string speed = human_count(std::llround(tokens_per_second)) + " tokens/s";
  if (mfu > 0) {
    speed += ", MFU " + human_percent(mfu);
    if (human_percent(hfu) != human_percent(mfu)) speed += ", HFU " + human_percent(hfu);
    speed += " of the measured peak";
  }
  text += row("speed", speed);
  if (rounding) {
    text += row("rounding", human_percent(rounding->changed) + " of the weights changed, " +
                                human_percent(rounding->realised) + " of the step realized");
  }
  if (loss_scale != 1) text += row("loss scale", human_number(loss_scale));
  text += list_row("peak memory", human_bytes(peak_bytes) + ": " + format_memory(memory));
  if (peaks.size() > 1) text += list_row("by rank", list_of_bytes(peaks));
  if (!model.empty()) text += row("model", std::filesystem::absolute(model).string());
  text += row("run folder", std::filesystem::absolute(run).string());
  return text;
}

nlohmann::ordered_json ClosingTable::json() const {
  nlohmann::ordered_json line{{"event", "end"},
                              {"steps", steps},
                              {"skipped", skipped},
                              {"epochs", epochs},
                              {"tokens", tokens},
                              {"targets", targets},
                              {"tokens_per_second", tokens_per_second},
                              {"mfu", mfu},
                              {"hfu", hfu}};
  if (first_loss) {
    line["first_loss"] = *first_loss;
    line["last_loss"] = last_loss;
  }
  if (best)
    line["best"] = {{"metric", best->metric}, {"value", best->value}, {"batch", best->step}};
  for (const Part part : kAllParts) line["seconds"][to_string(part)] = clock.seconds(part);
  return line;
}

}  // namespace lomo
