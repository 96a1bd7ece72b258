// What a run says of itself: on the way, at its end, and by its exit code.
#include <cmath>
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

/// Changes an f32 tensor (rows, cols) of a safetensors file: f(row, col, value) is its new value.
template <class F>
void edit(std::string const& file, std::string const& tensor, F f) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  std::uint64_t length = 0;
  stream.read(reinterpret_cast<char*>(&length), sizeof(length));
  std::string header(length, ' ');
  stream.read(header.data(), static_cast<std::streamsize>(length));
  const json entry = json::parse(header)[tensor];
  REQUIRE(entry["dtype"] == "F32");
  const std::size_t cols = entry["shape"].back();
  const std::size_t bytes =
      entry["data_offsets"][1].get<std::size_t>() - entry["data_offsets"][0].get<std::size_t>();
  std::vector<float> values(bytes / sizeof(float));
  const auto at = static_cast<std::streamoff>(sizeof(length) + length +
                                              entry["data_offsets"][0].get<std::size_t>());
  stream.seekg(at);
  stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(bytes));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = f(i / cols, i % cols, values[i]);
  stream.seekp(at);
  stream.write(reinterpret_cast<char const*>(values.data()), static_cast<std::streamsize>(bytes));
  REQUIRE(stream);
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
      with({"optimizer.lr=1e30", "clip.norm=0", "gradient_check=step", "train.max_steps=12"});
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
  more = with({"optimizer.lr=1e30", "clip.norm=0", "gradient_check=step", "save.every_steps=1"});
  CHECK(contains(run(place, command(place, "saved", more)).err, "The last checkpoint is \""));
}

TEST_CASE("without a gradient check the first gradient that is not finite ends the run with 5") {
  const Workplace place;
  make_model_and_data(place);
  // One input of the MLP is huge and not read; rows of up_proj have gradients above its inverse.
  const std::string file = place / "model/model.safetensors", layer = "model.layers.1.";
  edit(file, layer + "post_attention_layernorm.weight",
       [](std::size_t, std::size_t col, float x) { return col == 7 ? 1e37f : x; });
  for (auto const& [name, boost] :
       {std::pair{"mlp.gate_proj.weight", 1e10f}, std::pair{"mlp.up_proj.weight", 1e-10f}}) {
    edit(file, layer + name, [boost = boost](std::size_t row, std::size_t col, float x) {
      if (col == 7) return 0.0f;
      return row % 2 == 0 ? x : x * boost;
    });
  }
  write_config(place, R"({"name": "adalomo", "lr": 0.001})", "");
  const ProcessResult done = run(place, command(place, "out", with({"clip.norm=0"})));
  INFO(done.err);
  CHECK(done.code == 5);
  CHECK(contains(done.err, "tensors were already updated (lm_head.weight"));
  CHECK(contains(done.err, "and model.layers.1.mlp.up_proj.weight up to its first tile"));
  CHECK(contains(done.err, "No checkpoint was written: begin again."));
  CHECK(contains(done.err, "gradient_check \"step\" keeps such a step away"));
  std::ifstream metrics(place / "out/metrics.jsonl");
  std::string line;
  while (std::getline(metrics, line) && !contains(line, "stopped_in")) {
  }
  CHECK(json::parse(line)["stopped_in"] == "model.layers.1.mlp.up_proj.weight");
  // With the check such steps are skipped, and no weight changes.
  const ProcessResult checked = run(
      place,
      command(place, "checked", with({"clip.norm=0", "gradient_check=step", "train.max_steps=3"})));
  INFO(checked.err);
  CHECK(checked.code == 5);
  CHECK(contains(checked.err, "step 1 skipped: "));
  CHECK(contains(checked.out, "the last 3 steps could not be applied"));
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

TEST_CASE(
    "a rate that ruins a trained model unclipped improves it by default, and the ruin is told") {
  const Workplace place;
  make_model_and_data(place);
  std::ofstream(place / "shape.json") << R"({"architectures": ["LlamaForCausalLM"],
    "model_type": "llama", "hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 32,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "hidden_act": "silu", "torch_dtype": "float32", "tie_word_embeddings": true})";
  REQUIRE(
      run(place, {"init", "--config", place / "shape.json", "--output", place / "random"}).code ==
      0);
  write_config(place, R"({"name": "adamw", "lr": 0.03})", "");
  // From a loss of 3.5 to 0.95.
  REQUIRE(run(place, command(place, "trained",
                             with({"model.path=\"" + (place / "random") + "\"", "train.epochs=400",
                                   "train.max_steps=200", "schedule.kind=constant"})))
              .code == 0);
  std::ofstream(place / "run.json")
      << R"({"model": {"path": ")" << place / "trained/model"
      << R"("}, "data": {"task": "ids", "train": ")" << place / "ids.jsonl"
      << R"(", "validation_share": 0.2}, "batch": {"sequences": 4},
      "train": {"epochs": 9, "max_steps": 20, "seed": 7}, "optimizer": {"lr": 1},
      "schedule": {"kind": "constant"}})";
  const auto evaluation = [&](std::string const& name, std::string const& tag) {
    std::ifstream metrics(place / (name + "/metrics.jsonl"));
    for (std::string line; std::getline(metrics, line);) {
      if (!contains(line, R"("event":"eval","tag":")" + tag)) continue;
      return json::parse(line)["loss"].get<double>();
    }
    return std::nan("");
  };
  const ProcessResult ruined = run(place, command(place, "ruined", with({"clip.norm=0"})));
  INFO(ruined.err << ruined.out);
  CHECK(ruined.code == 0);
  CHECK(evaluation("ruined", "end") > 2 * evaluation("ruined", "before"));
  CHECK(contains(ruined.err, "clip.norm is 0 and optimizer.lr above"));
  const std::string log = slurp(place / "ruined/train.log");
  CHECK(contains(log, "the loss of the last four steps"));
  CHECK(contains(ruined.out, "WARNING: the model got worse: loss "));
  CHECK(contains(last_line(ruined.err), "the model got worse: loss "));
  CHECK(contains(last_line(ruined.err), "Set clip.norm to 1"));
  CHECK(outcome_of(place, "ruined")["problems"][0]["kind"] == "worse");

  const ProcessResult improved = run(place, command(place, "improved", {"--log-level", "warn"}));
  INFO(improved.err << improved.out);
  CHECK(improved.code == 0);
  CHECK(evaluation("improved", "end") < evaluation("improved", "before"));
  CHECK(improved.err.empty());
  CHECK(outcome_of(place, "improved")["problems"].empty());
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
  CHECK_FALSE(contains(done.err, "of the intended step;"));

  // Not only when the night is over.
  const std::string long_log =
      run(place,
          command(place, "long",
                  with({"optimizer.lr=0.0001", "model.dtype=bf16", "metrics.rounding_every=1",
                        "schedule.kind=constant", "schedule.warmup=0"})))
          .err;
  INFO(long_log);
  CHECK(contains(long_log, "step 4: rounding to nearest realised"));
  CHECK(contains(long_log, "step 16: rounding to nearest realised"));
  CHECK(count_lines(long_log, "of the intended step;") == 2);
  CHECK(contains(
      run(place, command(place, "blind", with({"model.dtype=bf16", "metrics.rounding_every=0"})))
          .err,
      "nothing will tell how much of each step is lost"));
}

TEST_CASE("a run whose steps are too small to change a weight says so") {
  const Workplace place;
  make_model_and_data(place);
  for (char const* dtype : {"f32", "bf16"}) {
    write_config(place, R"({"name": "lomo", "lr": 1e-30})", "");
    const ProcessResult done =
        run(place, command(place, dtype, with({"model.dtype=" + std::string(dtype)})));
    INFO(done.err);
    CHECK(done.code == 0);
    CHECK(contains(last_line(done.err), "the model did not change"));
    CHECK(outcome_of(place, dtype)["problems"][0]["kind"] == "unchanged");
  }
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
