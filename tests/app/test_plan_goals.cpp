// What must fit which cards, planned by the program for the shipped configs.
#include <fstream>
#include <nlohmann/json.hpp>
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

TEST_CASE("a plan says what heads without tiles cost on a GPU, and counts it") {
  const Workplace place;
  const auto planned = [&](int width) {
    const nlohmann::json config = {{"model",
                                    {{"path", "none"},
                                     {"shape",
                                      {{"model_type", "llama"},
                                       {"hidden_size", 1024},
                                       {"head_dim", width},
                                       {"num_hidden_layers", 4},
                                       {"num_attention_heads", 1024 / width},
                                       {"num_key_value_heads", 1024 / width},
                                       {"intermediate_size", 2816},
                                       {"vocab_size", 32000},
                                       {"max_position_embeddings", 4096},
                                       {"rms_norm_eps", 1e-5}}}}},
                                   {"data", {{"task", "ids"}, {"train", "none"}}},
                                   {"optimizer", {{"name", "lomo"}, {"lr", 0.01}}}};
    std::ofstream(place / "plan.json") << config;
    const ProcessResult result =
        run(place, {"plan", "--config", place / "plan.json", "--device", "cuda", "--tokens", "4096",
                    "--sequences", "1", "--memory", "24GiB", "--profile", "rtx3090", "--json"});
    INFO(result.err);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  const auto seconds = [](nlohmann::json const& plan) {
    return plan["time_model"][0]["seconds"].get<double>();
  };
  const nlohmann::json tiled = planned(128), simple = planned(256);
  CHECK(!tiled.contains("slow_attention"));
  const auto words = simple["slow_attention"].get<std::string>();
  INFO(words);
  CHECK(contains(words, "heads of width 256"));
  CHECK(contains(words, "192 KiB of shared memory, of the 99"));
  CHECK(contains(words, "1/5 of the f32 rate"));
  // Attention is a third of the work here; at a tenth of the rate of tensor cores or less it is
  // most of the time.
  CHECK(simple["step_flops"].get<double>() == Approx(tiled["step_flops"].get<double>()));
  CHECK(seconds(simple) > 2 * seconds(tiled));
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
