// What a run says of itself: on the way, at its end, and by its exit code.
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "training.h"

using namespace lomo::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// The outcome line of a run's metrics.
json outcome_of(Workplace const& place, std::string const& run) {
  std::ifstream metrics(place / (run + "/metrics.jsonl"));
  for (std::string line; std::getline(metrics, line);) {
    if (contains(line, R"("event":"outcome")")) return json::parse(line);
  }
  return nullptr;
}

std::vector<std::string> with(std::vector<std::string> const& settings) {
  std::vector<std::string> all;
  for (std::string const& setting : settings) all.insert(all.end(), {"--set", setting});
  return all;
}

std::string last_line(std::string const& text) {
  const std::string whole = text.substr(0, text.find_last_not_of('\n') + 1);
  return whole.substr(whole.rfind('\n') + 1);
}

}  // namespace

TEST_CASE("a healthy run is not warned about and ends without a word of its outcome") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const ProcessResult done = run(place, command(place, "out", {"--log-level", "warn"}));
  CHECK(done.code == 0);
  CHECK(done.err.empty());
  CHECK_FALSE(contains(done.out, "WARNING"));
  CHECK(outcome_of(place, "out")["problems"].empty());
}

TEST_CASE("a run that ends in steps that are not finite exits with 5 and sets its model aside") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  // Fewer steps are left than end a run at once.
  const std::vector<std::string> ruin =
      with({"optimizer.lr=1e30", "clip.norm=0", "train.max_steps=12"});
  const ProcessResult done = run(place, command(place, "out", ruin));
  INFO(done.err << done.out);
  CHECK(done.code == 5);
  CHECK(contains(done.out, "WARNING: the last 11 steps could not be applied"));
  CHECK(done.out.find("WARNING") < done.out.find("before"));
  CHECK(contains(last_line(done.err), "model-damaged"));
  CHECK(contains(last_line(done.err), "No checkpoint was written"));
  CHECK_FALSE(contains(done.err, "-nan"));
  CHECK_FALSE(contains(done.err + done.out, "not touched"));
  CHECK(fs::exists(place / "out/model-damaged/config.json"));
  CHECK_FALSE(fs::exists(place / "out/model"));
  CHECK(outcome_of(place, "out")["damaged"] == true);
  CHECK(run(place, {"verify", place / "out/model-damaged"}).code == 4);  // weights of 1e28

  std::vector<std::string> more = ruin;
  for (std::string const& word : with({"train.max_steps=0"})) more.push_back(word);
  const ProcessResult stopped = run(place, command(place, "longer", more));
  INFO(stopped.err);
  CHECK(stopped.code == 5);
  CHECK(contains(stopped.err, "20 steps in a row were skipped"));
  CHECK(contains(stopped.err, "No checkpoint was written"));
  more = with({"optimizer.lr=1e30", "clip.norm=0", "save.every_steps=1"});
  CHECK(contains(run(place, command(place, "saved", more)).err, "The last checkpoint is \""));
}

TEST_CASE("a run that got worse exits with 0 and says so first and last") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const ProcessResult done =
      run(place, command(place, "out",
                         with({"optimizer.lr=3", "clip.norm=0", "train.max_steps=10",
                               "schedule.kind=constant"})));
  INFO(done.err << done.out);
  REQUIRE(done.code == 0);
  CHECK(contains(done.out, "WARNING: the model got worse: "));
  CHECK(contains(last_line(done.err), "the model got worse: "));
  CHECK(outcome_of(place, "out")["problems"][0]["kind"] == "worse");
  CHECK(fs::exists(place / "out/model"));
}

TEST_CASE("a run that loses its steps to rounding says how much of them it made") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.0005, "rounding": "nearest"})", "");
  const ProcessResult done = run(place, command(place, "out", with({"model.dtype=bf16"})));
  INFO(done.err);
  CHECK(done.code == 0);
  CHECK(contains(last_line(done.err), "rounding to nearest realised"));
  CHECK(outcome_of(place, "out")["problems"][0]["kind"] == "rounding");
}

TEST_CASE("what a run is judged by survives a stop") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "save": {"every_steps": 8})");
  REQUIRE(run(place, command(place, "whole", {})).code == 0);
  const ProcessResult part =
      run(place, {"--resume", place / "whole/checkpoints/step-16", "--output", place / "part"});
  INFO(part.err);
  REQUIRE(part.code == 0);
  const auto state = [&](std::string const& name) {
    std::ifstream file(place / (name + "/checkpoints/step-24/training_state.json"));
    return json::parse(file);
  };
  CHECK(state("whole")["record"] == state("part")["record"]);
  CHECK(state("whole")["spike_guard"] == state("part")["spike_guard"]);
  CHECK(state("part")["record"]["applied"] == 24);
  CHECK(weights(place / "whole/model") == weights(place / "part/model"));
}

TEST_CASE("the best model by its evaluation is named and can be the final one") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo,
               R"(, "eval": {"every_steps": 2}, "save": {"final_model": "best", "keep_last": 1})");
  // Soon so high a rate that the first models are the best.
  const ProcessResult done =
      run(place, command(place, "out",
                         with({"optimizer.lr=1", "clip.norm=0", "schedule.kind=constant",
                               "spike_guard.action=off"})));
  INFO(done.err);
  REQUIRE(done.code == 0);
  double best = 1e300;
  std::string name;
  std::ifstream metrics(place / "out/metrics.jsonl");
  for (std::string line; std::getline(metrics, line);) {
    const json event = json::parse(line);
    if (event["event"] != "eval" || event["tag"] == "before") continue;
    if (event["loss"].get<double>() >= best) continue;
    best = event["loss"];
    name = "step-" + std::to_string(event["batch"].get<int>());
  }
  REQUIRE(name != "step-24");
  CHECK(contains(done.err, "best evaluation: loss "));
  CHECK(contains(done.err, "checkpoints/" + name));
  CHECK(weights(place / "out/model") == weights(place / ("out/checkpoints/" + name)));
  CHECK_FALSE(fs::exists(place / "out/model/training_state.json"));
  CHECK(run(place, {"verify", place / "out/model"}).code == 0);

  // Where every step is an improvement the last one is the best.
  const ProcessResult good = run(place, command(place, "good", {}));
  INFO(good.err);
  REQUIRE(good.code == 0);
  CHECK(contains(good.err, "after step 24, the last one"));
  CHECK(weights(place / "good/model") != weights(place / "good/checkpoints/step-22"));

  const ProcessResult refused = run(place, command(place, "none", with({"eval.every_steps=0"})));
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "eval.every_steps"));
  const ProcessResult unknown =
      run(place, command(place, "metric", with({"save.best_metric=accuracy"})));
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "loss, perplexity"));
}
