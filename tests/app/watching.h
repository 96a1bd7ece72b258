#pragma once
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "app/program.h"

/// Watching a run from outside, by what it writes.
namespace lomo::test {

inline std::size_t steps_of(Workplace const& place, std::string const& run) {
  return count_lines(slurp(place / (run + "/metrics.jsonl")), "\"event\":\"step\"");
}

/// Returns when `done()`, or when the process has ended.
template <class F>
void wait_until(Process const& process, F const& done) {
  while (!done() && !process.ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

inline void wait_for_steps(Process const& process, Workplace const& place, std::string const& run,
                           std::size_t steps) {
  wait_until(process, [&] { return steps_of(place, run) >= steps; });
}

/// The names in a run's checkpoints/ that begin like this.
inline std::vector<std::string> named(Workplace const& place, std::string const& run,
                                      std::string const& prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto const& entry :
       std::filesystem::directory_iterator(place / (run + "/checkpoints"), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

inline std::vector<std::string> checkpoints_of(Workplace const& place, std::string const& run) {
  return named(place, run, "step-");
}

inline bool saving(Workplace const& place, std::string const& run) {
  return !named(place, run, ".partial-").empty();
}

/// Every checkpoint of a run is whole, to the last byte.
inline void check_all_whole(Workplace const& inspect, Workplace const& place,
                            std::string const& run) {
  for (std::string const& name : checkpoints_of(place, run)) {
    const ProcessResult verified =
        lomo::test::run(inspect, {"verify", place / (run + "/checkpoints/" + name)});
    INFO(name << ": " << verified.out << verified.err);
    CHECK(verified.code == 0);
  }
}

/// How many kills a test that kills at random moments takes: more for who asks.
inline int kills_wanted(char const* variable, int otherwise) {
  char const* wanted = std::getenv(variable);
  return wanted == nullptr ? otherwise : std::atoi(wanted);
}

}  // namespace lomo::test
