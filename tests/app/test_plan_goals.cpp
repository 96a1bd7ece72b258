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
};

Outcome plan(Workplace const& place, Goal const& goal) {
  return run(place,
             {"plan", "--config", goal.config, "--threads", "1", "--ranks",
              std::to_string(goal.ranks), "--tokens", std::to_string(goal.tokens * goal.ranks),
              "--sequences", std::to_string(goal.tokens * goal.ranks / 512), "--memory",
              goal.memory, "--profile", "rtx3090"});
}

}  // namespace

TEST_CASE("the plans of the shipped configs fit the cards they are meant for") {
  const Workplace place;
  for (Goal const& goal :
       {Goal{"llama7b.json", 1, 4096, "15.3GiB"},  // 14.3 and 1 for the rest
        Goal{"llama13b.json", 2, 4096, "16GiB"}, Goal{"llama65b.json", 8, 4096, "24GiB"},
        Goal{"llama2-70b.json", 8, 2048, "24GiB"}, Goal{"llama3-70b.json", 8, 2048, "24GiB"}}) {
    INFO(goal.config);
    const Outcome outcome = plan(place, goal);
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.out, "fits " + goal.memory.substr(0, 2)));
    if (goal.ranks > 1) {
      CHECK(contains(outcome.out, "rank 0 of " + std::to_string(goal.ranks)));
      CHECK(contains(outcome.out, "if ranks exchange"));
    }
  }
  CHECK(plan(place, {"llama65b.json", 4, 512, "24GiB"}).code == 3);
  CHECK(plan(place, {"llama65b.json", 0, 512, "24GiB"}).code == 2);
}

}  // namespace lomo::test
