#pragma once
#include <string>
#include <vector>

#include "program.h"
#include "support/disks.h"
#include "watching.h"

/// Runs that the tests of runs that survive start.
namespace lomo::test {

inline constexpr char const* kLomo = R"({"name": "lomo", "lr": 0.05})";

inline std::vector<std::string> command(Workplace const& place, std::string const& output,
                                        std::vector<std::string> const& more) {
  std::vector<std::string> all{"--config", place / "run.json", "--threads",
                               "1",        "--output",         place / output};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace lomo::test
