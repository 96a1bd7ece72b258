#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"

/// Engine memory by category at the peak of each rank, in rank order, as `lomo-train plan` says it
/// and as a run finds it. Bytes.
namespace lomo::test {

inline nlohmann::json planned_peaks(Workplace const& place, int ranks,
                                    std::vector<std::string> const& settings) {
  std::vector<std::string> arguments{"plan", "--config", place / "run.json",   "--json", "--memory",
                                     "4GiB", "--ranks",  std::to_string(ranks)};
  arguments.insert(arguments.end(), settings.begin(), settings.end());
  const ProcessResult result = run(place, arguments);
  INFO(result.err);
  REQUIRE(result.code == 0);
  const auto plan = nlohmann::json::parse(result.out);
  nlohmann::json peaks;
  for (auto const& rank : plan["by_rank"]) {
    peaks.push_back(rank["categories"]);
  }
  return peaks;
}

inline nlohmann::json measured_peaks(Workplace const& place, std::string const& name) {
  std::ifstream metrics(place / (name + "/metrics.jsonl"));
  for (std::string line; std::getline(metrics, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event["event"] == "memory") return event["at_peak_by_rank"];
  }
  return {};
}

}  // namespace lomo::test
