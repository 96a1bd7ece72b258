// What must fit which cards, planned by the program for the shipped configs.
#include <string>
#include <vector>

#include "program.h"

namespace lomo::test {

namespace {

struct Goal {
  std::string config;
  int ranks;
  int tokens;  // a rank, in sequences of 512
  std::string memory;
  int together = 1;  // blocks that are recomputed together
};

ProcessResult plan(Workplace const& place, Goal const& goal,
                   std::vector<std::string> const& more = {}) {
  const int sequences = goal.tokens * goal.ranks / 512;
  std::vector<std::string> arguments{"plan",
                                     "--config",
                                     goal.config,
                                     "--threads",
                                     "1",
                                     "--ranks",
                                     std::to_string(goal.ranks),
                                     "--tokens",
                                     std::to_string(goal.tokens * goal.ranks),
                                     "--sequences",
                                     std::to_string(sequences),
                                     "--memory",
                                     goal.memory,
                                     "--profile",
                                     "rtx3090",
                                     "--set",
                                     "train.recompute=" + std::to_string(goal.together)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(place, arguments);
}

}  // namespace

TEST_CASE("the plans of the shipped configs fit the cards they are meant for") {
  const Workplace place;
  for (Goal const& goal :
       {Goal{"llama7b.json", 1, 4096, "15.3GiB"},  // 14.3 and 1 for the rest
        Goal{"llama13b.json", 2, 4096, "16GiB"}, Goal{"llama65b.json", 8, 4096, "24GiB"},
        Goal{"llama2-70b.json", 8, 2048, "24GiB"}, Goal{"llama3-70b.json", 8, 2048, "24GiB"},
        Goal{"llama2-70b.json", 8, 4096, "24GiB", 2},
        Goal{"llama3-70b.json", 8, 4096, "24GiB", 2}}) {
    INFO(goal.config);
    const ProcessResult result = plan(place, goal);
    CHECK(result.code == 0);
    CHECK(contains(result.out, "fits " + goal.memory.substr(0, 2)));
    if (goal.ranks > 1) {
      CHECK(contains(result.out, "each of " + std::to_string(goal.ranks) + " ranks"));
      CHECK(contains(result.out, "at 31.5 GB/s"));
    }
  }
  CHECK(plan(place, {"llama65b.json", 4, 512, "24GiB"}).code == 3);
  CHECK(plan(place, {"llama2-70b.json", 8, 4096, "24GiB"}).code == 3);
  CHECK(plan(place, {"llama65b.json", 0, 512, "24GiB"}).code == 2);
}

TEST_CASE("advice names the fewest GPUs for a batch, and how many blocks to recompute together") {
  const Workplace place;
  const ProcessResult result = plan(place, {"llama65b.json", 8, 4096, "24GiB"}, {"--advise"});
  INFO(result.err << result.out);
  CHECK(result.code == 0);
  CHECK(contains(result.out, "fewest GPUs for all 32,768 tokens of a step: 8"));
  CHECK(contains(result.out, "--set train.recompute=2 "));
  CHECK_FALSE(contains(result.out, "--set train.recompute=block "));  // as it is
}

}  // namespace lomo::test
