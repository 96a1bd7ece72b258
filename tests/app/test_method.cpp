// What the method's own commands and keys do in the program: ablate, clip.strategy.
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/catch.h"

using namespace lomo::test;
using nlohmann::json;

namespace {

json read_json(std::string const& file) {
  return json::parse(std::ifstream(file));
}

/// clip.kept_blocks of a run's effective config and of its newest checkpoint, which must agree, as
/// must what they say of recomputation.
std::int64_t resolved(Workplace const& place, std::string const& run, std::string const& step) {
  const json effective = read_json(place / (run + "/config.json"));
  const json state = read_json(place / (run + "/checkpoints/" + step + "/training_state.json"));
  CHECK(effective["clip"]["kept_blocks"] == state["config"]["clip"]["kept_blocks"]);
  // All runs here begin with room for everything.
  CHECK(effective["train"]["recompute"] == json{{"upper", 2}, {"together", 1}});
  CHECK(state["config"]["train"]["recompute"] == effective["train"]["recompute"]);
  return effective["clip"]["kept_blocks"];
}

}  // namespace

TEST_CASE("what auto resolves to is written down, and a resumed run keeps it") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})",
               R"(, "eval": {"before": false}, "memory": {"budget": "64MiB"},
                  "save": {"every_steps": 8, "final_model": "none"})");
  const auto go = [&](std::vector<std::string> const& more) {
    std::vector<std::string> all{"--config", place / "run.json", "--output", place / "out"};
    all.insert(all.end(), more.begin(), more.end());
    const ProcessResult result = run(place, all);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return result.err;
  };
  CHECK(contains(go({"--set", "train.epochs=1"}), "in 2 of 2 blocks"));
  CHECK(resolved(place, "out", "step-8") == 2);
  // Without a budget auto would keep none.
  CHECK(contains(go({"--resume", "--set", "train.epochs=2", "--set", "memory.budget=0"}),
                 "in 2 of 2 blocks"));
  CHECK(resolved(place, "out", "step-16") == 2);
  // Another strategy is another choice.
  CHECK_FALSE(
      contains(go({"--resume", "--set", "train.epochs=3", "--set", "clip.strategy=two_pass"}),
               "of 2 blocks"));
  CHECK(resolved(place, "out", "step-24") == 0);
  const ProcessResult back = run(
      place, {"--resume", place / "out", "--set", "train.epochs=4", "--set", "clip.strategy=auto"});
  INFO(back.err);
  CHECK(back.code == 0);
  CHECK(resolved(place, "out", "step-32") == 2);
}

TEST_CASE("ablate prints what each part of the method saves, measured or planned") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  const std::vector<std::string> command{"ablate", "--config", place / "run.json"};
  const auto with = [&](std::vector<std::string> const& more) {
    std::vector<std::string> all = command;
    all.insert(all.end(), more.begin(), more.end());
    return run(place, all);
  };
  const ProcessResult measured = with({"--steps", "1"});
  INFO(measured.out << measured.err);
  REQUIRE(measured.code == 0);
  for (char const* method : {"inference", "AdamW", "SGD", "AdaLomo", "LOMO, by tensor",
                             "LOMO, by tile", "factors kept"}) {
    CHECK(contains(measured.out, method));
  }
  CHECK_FALSE(contains(measured.out, "planned, not run"));
  CHECK(contains(measured.out, "training over inference"));

  const json ran = json::parse(with({"--json", "--steps", "1"}).out);
  const json planned = json::parse(with({"--json", "--steps", "0"}).out);
  REQUIRE(ran["rows"].size() == planned["rows"].size());
  for (std::size_t i = 0; i < ran["rows"].size(); ++i) {
    CHECK(ran["rows"][i]["peak_bytes"] == planned["rows"][i]["peak_bytes"]);
    CHECK(ran["rows"][i]["at_peak"] == planned["rows"][i]["at_peak"]);
    CHECK(ran["rows"][i]["tokens_per_second"] > 0);
    CHECK(planned["rows"][i]["tokens_per_second"].is_null());
  }

  // Of a model that no test machine holds, and without its files.
  const ProcessResult large =
      run(place, {"ablate", "--config", "llama65b.json", "--memory", "1GiB"});
  INFO(large.err);
  CHECK(large.code == 0);
  CHECK(contains(large.out, "planned, not run"));
  CHECK(with({"--memory", "plenty"}).code == 2);
  CHECK(with({"--steps", "-1"}).code == 2);
}
