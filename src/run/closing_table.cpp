#include "closing_table.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "lomo/train/config.h"
#include "lomo/train/progress.h"
#include "rank_memory.h"

namespace lomo {

namespace {

std::string row(std::string const& label, std::string const& value) {
  constexpr std::size_t kColumn = 18;
  std::string text = "  " + label;
  text.resize(std::max(text.size(), kColumn + 2), ' ');
  return text + " " + value + "\n";
}

std::string number(Json const& metrics, std::string const& name) {
  if (!metrics.is_object() || !metrics.contains(name) || !metrics[name].is_number()) return "-";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", metrics[name].get<double>());
  return text.data();
}

std::string two_columns(std::string const& a, std::string const& b) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%10s %10s", a.c_str(), b.c_str());
  return text.data();
}

}  // namespace

std::string ClosingTable::render() const {
  std::string text = "\n";
  Json const& names = after.is_object() && !after.empty() ? after : before;
  if (names.is_object() && !names.empty()) {
    text += row("", two_columns("before", "after"));
    for (auto const& [name, value] : names.items()) {
      text += row(name, two_columns(number(before, name), number(after, name)));
    }
  }
  text += row("steps", std::to_string(steps) + " applied, " + std::to_string(skipped) + " skipped");
  text += row("time", format_duration(seconds));
  std::array<char, 96> rate{};
  if (peak_share > 0) {
    std::snprintf(rate.data(), rate.size(), "%.0f tokens/s, %.0f%% of the measured GEMM peak",
                  tokens_per_second, 100 * peak_share);
  } else {
    std::snprintf(rate.data(), rate.size(), "%.0f tokens/s", tokens_per_second);
  }
  text += row("speed", rate.data());
  text += row("peak memory", human_bytes(peak_bytes) + ": " + format_memory(memory));
  if (peaks.size() > 1) text += row("by rank", list_of_bytes(peaks));
  if (!model.empty()) text += row("model", std::filesystem::absolute(model).string());
  text += row("run folder", std::filesystem::absolute(run).string());
  return text;
}

}  // namespace lomo
