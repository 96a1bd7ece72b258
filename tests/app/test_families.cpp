// Every family from its config.json alone, by the program.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.h"
#include "support/source_dir.h"
#include "training.h"

namespace fs = std::filesystem;

namespace lomo::test {

TEST_CASE("a random model of any family is made, planned, trained, evaluated and verified") {
  const Workplace place;
  {
    std::ofstream data(place / "ids.jsonl");
    for (int i = 0; i < 4; ++i)
      data << R"({"ids": [5, 9, 3, 17, 20, 8, 30, 11, 2]})"
           << "\n";
  }
  std::ofstream(place / "run.json") << nlohmann::json{
      {"model", {{"path", place / "model"}, {"dtype", "bf16"}}},
      {"data",
       {{"task", "ids"}, {"train", place / "ids.jsonl"}, {"validation", place / "ids.jsonl"}}},
      {"batch", {{"sequences", 2}}},
      {"optimizer", {{"name", "lomo"}, {"lr", 0.01}}},
      {"eval", {{"before", true}}}};
  int families = 0;
  for (auto const& entry : fs::directory_iterator(source_dir() / "tests/fixtures/families")) {
    const std::string config = entry.path() / "config.json";
    INFO(config);
    const auto ends_well = [&](std::vector<std::string> const& arguments) {
      const ProcessResult result = run(place, arguments);
      INFO(result.err);
      CHECK(result.code == 0);
    };
    for (char const* name : {"model", "run"}) fs::remove_all(fs::path(place / name));
    ends_well({"init", "--config", config, "--output", place / "model"});
    ends_well({"plan", "--config", place / "run.json", "--device", "cpu"});
    ends_well({"--config", place / "run.json", "--output", place / "run"});
    ends_well({"verify", place / "run/model"});
    const auto of = [](fs::path const& folder) {
      std::ifstream file(folder / "config.json");
      return nlohmann::json::parse(file);
    };
    auto made = of(place / "model"), saved = of(place / "run/model"), given = of(entry.path());
    CHECK(made["model_type"] == given["model_type"]);
    for (auto* json : {&made, &saved}) {
      json->erase("torch_dtype");
      json->erase("dtype");
    }
    CHECK(made == saved);
    ++families;
  }
  CHECK(families >= 7);
}

TEST_CASE("a folder of something else is named for what it is, without a config.json too") {
  const Workplace place;
  write_config(place, kLomo, "");
  for (auto const& [file, what] : {std::pair{"adapter_model.safetensors", "a LoRA adapter"},
                                   std::pair{"model-q4.gguf", "a GGUF file"}}) {
    fs::remove_all(place / "model");
    fs::create_directories(place / "model");
    std::ofstream(place / "model" + "/" + file) << "x";
    const ProcessResult result = run(place, {"--config", place / "run.json"});
    INFO(result.err);
    CHECK(result.code == 4);
    CHECK(contains(result.err, std::string("holds ") + file + ": " + what));
  }
}

}  // namespace lomo::test
