#pragma once
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "app/program.h"
#include "app/watching.h"

/// lomo-train on several ranks, from tests.
namespace lomo::test {

using Arguments = std::vector<std::string>;

inline Arguments command(Workplace const& place, std::string const& output,
                         Arguments const& more = {}) {
  Arguments all{"--config", place / "run.json", "--output", place / output};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// By mpirun, each rank with arguments of its own.
inline Process start(Workplace const& place, std::vector<Arguments> const& each) {
  return Process(place, LOMO_MPIRUN, on_ranks(each));
}
inline ProcessResult launch(Workplace const& place, std::vector<Arguments> const& each) {
  return start(place, each).wait();
}
/// All ranks with the same.
inline ProcessResult launch(Workplace const& place, int ranks, Arguments const& arguments) {
  return launch(place, std::vector<Arguments>(static_cast<std::size_t>(ranks), arguments));
}

/// Processes whose parent is `parent`, in the order they were started: the ranks of an mpirun.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::ifstream list("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                     "/children");
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

inline bool alive(pid_t process) {
  std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(stat, text);
  const std::size_t name_ends = text.rfind(')');
  return name_ends != std::string::npos && text.compare(name_ends + 2, 1, "Z") != 0;
}

/// Whether they all end within some seconds.
inline bool gone(std::vector<pid_t> const& processes) {
  for (int tries = 0; tries < 500; ++tries) {
    bool any = false;
    for (const pid_t process : processes) any = any || alive(process);
    if (!any) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// The loss of each step of a run.
inline std::vector<double> losses_of(Workplace const& place, std::string const& run) {
  std::vector<double> losses;
  std::ifstream metrics(place / (run + "/metrics.jsonl"));
  for (std::string line; std::getline(metrics, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event["event"] == "step") losses.push_back(event["loss"]);
  }
  return losses;
}

inline bool same_files(std::filesystem::path const& a, std::filesystem::path const& b,
                       std::vector<std::string> const& names) {
  for (std::string const& name : names) {
    INFO(a / name << " and " << b / name);
    CHECK(std::filesystem::exists(a / name));
    if (slurp(a / name) != slurp(b / name)) return false;
  }
  return true;
}

}  // namespace lomo::test
