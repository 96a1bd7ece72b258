#pragma once
#include <string>
#include <vector>

#include "program.h"
#include "support/disks.h"
#include "watching.h"

/// Runs that the tests of runs that survive start.
namespace lomo::test {

inline std::vector<std::string> command(Workplace const& place, std::string const& output,
                                        std::vector<std::string> const& more) {
  std::vector<std::string> all{"--config", place / "run.json", "--threads",
                               "1",        "--output",         place / output};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// Enough to read, to tokenize and to plan that a run takes some time to its first step.
inline void write_many(Workplace const& place, std::string const& file, int count) {
  std::ofstream data(place / file);
  for (int i = 0; i < count; ++i) {
    data << "{\"ids\": [1";
    for (int j = 0; j < 5 + i % 7; ++j) data << ", " << 3 + (i * 5 + j * 3) % 29;
    data << ", 2], \"loss_from\": 2}\n";
  }
}

}  // namespace lomo::test
