#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "lomo/config/check.h"
#include "lomo/config/config.h"
#include "lomo/core/error.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/source_dir.h"

using namespace lomo;
using test::contains;
namespace fs = std::filesystem;

namespace {

Json minimal() {
  return Json::parse(R"({"model": {"path": "m"}, "data": {"task": "rte", "train": "t.jsonl"},
                         "optimizer": {"lr": 0.003}})");
}

/// The message that a changed minimal config is refused with; empty when it is not.
std::string refusal(char const* pointer, Json value) {
  Json json = minimal();
  json[Json::json_pointer(pointer)] = std::move(value);
  try {
    parse_config(json, "run.json");
  } catch (Error const& error) {
    CHECK(error.code() == Exit::usage);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a minimal config takes every default and survives being written") {
  const TrainConfig config = parse_config(minimal(), "run.json");
  CHECK(config.optimizer.kind == OptimizerKind::lomo);
  CHECK(config.data.train == std::vector<std::string>{"t.jsonl"});
  const auto written = to_json(config);
  CHECK(to_json(parse_config(Json::parse(written.dump()), "again")).dump() == written.dump());
}

TEST_CASE("a config error names the file, the place and what to do") {
  CHECK(contains(refusal("/optimizer/learning_rate", 1), "run.json: /optimizer/learning_rate"));
  CHECK(contains(refusal("/clip/nrom", 1), "norm"));
  CHECK(contains(refusal("/clip/norm", "1.0"), "/clip/norm"));
  CHECK(contains(refusal("/clip/norm", -1), "/clip/norm"));
  CHECK(contains(refusal("/optimizer/name", "adam"), "adamw"));
  CHECK(contains(refusal("/model/dtype", "int8"), "bf16"));
  CHECK(contains(refusal("/model/shape/hiden_size", 8), "hidden_size"));
  CHECK(contains(refusal("/data/task", "mnli"), "rte"));
  CHECK(contains(refusal("/batch/sequences", 0), "max_tokens"));
  CHECK(contains(refusal("/train/epochs", 0), "/train/epochs"));
  CHECK(contains(refusal("/loss_scale/initial", 1000), "power of 2"));
  CHECK(contains(refusal("/loss_scale/minimum", 131072), "/loss_scale/minimum"));
  CHECK(contains(refusal("/spike_guard/action", "ignore"), "warn"));
  CHECK(contains(refusal("/spike_guard/min_steps", 500), "spike_guard.window"));
  CHECK(contains(refusal("/memory/tile_bytes", "eight"), "/memory/tile_bytes"));
  CHECK(contains(refusal("/schedule/warmup", 1.5), "whole number of steps"));
  CHECK(contains(refusal("/schedule/warmup", -1), "/schedule/warmup"));
  CHECK(contains(refusal("/schedule/final", 1.5), "/schedule/final"));
  CHECK(contains(refusal("/save/final_model", "newest"), "best"));
  CHECK(contains(refusal("/save/final_model", true), "last"));
}

TEST_CASE("a key of before the first release is refused with its new name") {
  CHECK(contains(refusal("/protect", "tile"), "gradient_check"));
  CHECK(contains(refusal("/guard", Json::parse(R"({"least_steps": 9})")), "spike_guard"));
  CHECK(contains(refusal("/guard", Json::parse(R"({"least_steps": 9})")), "min_steps"));
  CHECK(contains(refusal("/ranks/wire", "f32"), "ranks.comm_dtype"));
}

TEST_CASE("gradient accumulation is refused with the reason") {
  for (char const* place : {"/gradient_accumulation_steps", "/train/gradient_accumulation",
                            "/batch/gradient_accumulation_steps"}) {
    const std::string message = refusal(place, 4);
    CHECK(contains(message, place));
    CHECK(contains(message, "batch.sequences"));
  }
}

TEST_CASE("overrides are JSON where they can be and text where not") {
  const fs::path file = fs::temp_directory_path() / "lomo-test-overrides.json";
  std::ofstream(file) << minimal().dump();
  const Json json =
      read_config_file(file, {"optimizer.lr=0.5", "model.path=models/other",
                              "data.train=[\"a\",\"b\"]", "eval.before=false", "output=runs/a=b"});
  const TrainConfig config = parse_config(json, "run.json");
  CHECK(config.optimizer.lr == 0.5);
  CHECK(config.model.path == "models/other");
  CHECK(config.data.train == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(config.eval.before);
  CHECK(config.output == "runs/a=b");
  for (char const* wrong : {"optimizer.lr", "=1", "optimizer..lr=1", "model.path.x=1"}) {
    CHECK_THROWS_AS(read_config_file(file, {wrong}), Error);
  }
  fs::remove(file);
}

TEST_CASE("what is recomputed can be said in five ways, each written as it is read") {
  const auto read = [](char const* value) {
    Json json = minimal();
    json["train"]["recompute"] = Json::parse(value);
    return parse_config(json, "run.json");
  };
  CHECK(!read(R"("auto")").train.recompute);
  CHECK(read(R"("none")").train.recompute == Recompute::none);
  CHECK(read(R"("block")").train.recompute == Recompute::block);
  CHECK(read("3").train.recompute == Recompute{3, 0});
  CHECK(read(R"({"upper": 12})").train.recompute == Recompute{1, 12});
  CHECK(read(R"({"upper": 2, "together": 4})").train.recompute == Recompute{4, 2});
  for (char const* value : {R"("auto")", R"("none")", "3", R"({"upper":2,"together":4})"}) {
    CHECK(to_json(read(value))["train"]["recompute"].dump() == value);
  }
  CHECK(contains(refusal("/train/recompute", "blocks"), R"(expected "auto", "none", "block")"));
  CHECK(contains(refusal("/train/recompute", true), "/train/recompute"));
  CHECK(contains(refusal("/train/recompute", {{"uper", 2}}), "upper"));
  CHECK(contains(refusal("/train/recompute", {{"upper", -1}}), "/train/recompute/upper"));
}

TEST_CASE("the checkpoint resolves dtype and rounding, and must have the shape the config says") {
  ModelConfig model;
  model.width = 64;
  model.dtype = DType::bf16;
  TrainConfig config = parse_config(minimal(), "run.json");
  resolve(config, model);
  CHECK(config.model.dtype == DType::bf16);
  CHECK(config.optimizer.rounding == Rounding::stochastic);

  Json json = minimal();
  json["model"]["shape"] = {{"hidden_size", 4096}};
  TrainConfig other = parse_config(json, "run.json");
  CHECK_THROWS_WITH(resolve(other, model), Catch::Contains("hidden_size") &&
                                               Catch::Contains("4096") && Catch::Contains("64"));
  TrainConfig half = parse_config(minimal(), "run.json");
  model.dtype = DType::f16;
  resolve(half, model);
  CHECK(half.optimizer.rounding == Rounding::nearest);
  half.gradient_check = GradientCheck::tile;
  CHECK_THROWS_WITH(resolve(half, model), Catch::Contains("gradient_check"));
  model.dtype = DType::bf16;
  for (const auto action : {SpikeAction::skip, SpikeAction::cut_lr, SpikeAction::stop}) {
    TrainConfig late = parse_config(minimal(), "run.json");
    late.gradient_check = GradientCheck::tile;
    late.spike_guard.action = action;
    late.clip.norm = 0;
    CHECK_THROWS_WITH(resolve(late, model), Catch::Contains("spike_guard.action"));
    late.clip.norm.reset();
    resolve(late, model);
  }
}

TEST_CASE(
    "the norm is clipped at 1 unless AdaLomo bounds each update or the config says otherwise") {
  const auto clip = [](char const* optimizer, Json norm) {
    Json json = minimal();
    json["optimizer"]["name"] = optimizer;
    json["clip"]["norm"] = std::move(norm);
    TrainConfig config = parse_config(json, "run.json");
    resolve(config, ModelConfig{});
    // The effective config says which.
    return to_json(config)["clip"]["norm"].get<double>();
  };
  for (char const* name : {"lomo", "sgd", "adamw"}) CHECK(clip(name, nullptr) == 1);
  CHECK(clip("adalomo", nullptr) == 0);
  for (char const* name : {"lomo", "sgd", "adamw", "adalomo"}) {
    CHECK(clip(name, 0) == 0);
    CHECK(clip(name, 0.5) == 0.5);
  }
  TrainConfig absent = parse_config(minimal(), "run.json");
  CHECK_FALSE(absent.clip.norm);
  resolve(absent, ModelConfig{});
  CHECK(absent.clip.norm == 1.0);
}

TEST_CASE("the whole gradient is looked at before an update where something needs it") {
  const auto resolved = [](char const* pointer, Json value, char const* optimizer = "adalomo") {
    Json json = minimal();
    json["optimizer"]["name"] = optimizer;
    json["model"]["dtype"] = "bf16";
    if (*pointer != 0) json[Json::json_pointer(pointer)] = std::move(value);
    TrainConfig config = parse_config(json, "run.json");
    resolve(config, ModelConfig{});
    return config.gradient_check;
  };
  CHECK(resolved("", {}) == GradientCheck::tile);
  CHECK(resolved("", {}, "lomo") == GradientCheck::step);  // it clips by the norm
  CHECK(resolved("/clip/norm", 0, "lomo") == GradientCheck::tile);
  CHECK(resolved("/clip/norm", 1) == GradientCheck::step);
  CHECK(resolved("/model/dtype", "f16") == GradientCheck::step);
  CHECK(resolved("/spike_guard/action", "skip") == GradientCheck::step);
  CHECK(resolved("/spike_guard/action", "warn") == GradientCheck::tile);
  CHECK(resolved("/gradient_check", "step") == GradientCheck::step);
}

TEST_CASE("plain gradients at a high rate without clipping are warned about") {
  const auto warned = [](char const* optimizer, double lr, Json norm, double value,
                         double momentum = 0) {
    Json json = minimal();
    json["optimizer"] = {{"name", optimizer}, {"lr", lr}, {"momentum", momentum}};
    json["clip"] = {{"norm", std::move(norm)}, {"value", value}};
    TrainConfig config = parse_config(json, "run.json");
    resolve(config, ModelConfig{});
    for (std::string const& warning : warnings(config)) {
      if (contains(warning, "clip.norm")) return true;
    }
    return false;
  };
  CHECK(warned("lomo", 0.03, 0, 0));
  CHECK(warned("sgd", 0.01, 0, 0));
  CHECK_FALSE(warned("sgd", 0.003, 0, 0));
  CHECK(warned("sgd", 0.003, 0, 0, 0.9));
  CHECK_FALSE(warned("sgd", 0.001, 0, 0, 0.9));
  CHECK_FALSE(warned("sgd", 0.003, 1, 0, 0.9));
  CHECK_FALSE(warned("lomo", 0.03, nullptr, 0));
  CHECK_FALSE(warned("lomo", 0.03, 1, 0));
  CHECK_FALSE(warned("lomo", 0.001, 0, 0));
  CHECK_FALSE(warned("lomo", 0.03, 0, 0.1));  // clipped by value
  CHECK_FALSE(warned("adamw", 0.03, 0, 0));   // its step does not grow with the gradient
  CHECK_FALSE(warned("adalomo", 0.03, 0, 0));
}

TEST_CASE(
    "rates that made trained models worse are warned about, those of untrained ones are not") {
  const auto warning = [](char const* optimizer, double lr, std::optional<double> loss) {
    Json json = minimal();
    json["optimizer"] = {{"name", optimizer}, {"lr", lr}};
    TrainConfig config = parse_config(json, "run.json");
    resolve(config, ModelConfig{});
    return rate_warning(config, loss, 512);  // a uniform guess has 6.24
  };
  for (const std::optional<double> loss : {std::optional<double>(), std::optional(1.89)}) {
    CHECK(contains(warning("adamw", 3e-3, loss), "above 1e-3: AdamW"));
    CHECK(warning("adamw", 1e-3, loss).empty());
    CHECK(contains(warning("adalomo", 3e-2, loss), "above 1e-2: AdaLomo"));
    CHECK(warning("adalomo", 1e-2, loss).empty());
    CHECK(warning("lomo", 0.1, loss).empty());
    CHECK(warning("sgd", 0.1, loss).empty());
  }
  CHECK(warning("adamw", 3e-3, 6.2).empty());
  CHECK(warning("adalomo", 3e-2, 7.8).empty());
}

TEST_CASE("the best model as the final one keeps a best checkpoint") {
  Json json = minimal();
  json["save"]["final_model"] = "best";
  TrainConfig config = parse_config(json, "run.json");
  resolve(config, ModelConfig{});
  CHECK(config.save.keep_best == 1);
  config.save.keep_best = 3;
  resolve(config, ModelConfig{});
  CHECK(config.save.keep_best == 3);
}

TEST_CASE("learning rates of another method are warned about") {
  const auto count = [](double lr, char const* dtype) {
    Json json = minimal();
    json["optimizer"]["lr"] = lr;
    json["model"]["dtype"] = dtype;
    TrainConfig config = parse_config(json, "run.json");
    resolve(config, ModelConfig{});
    return warnings(config).size();
  };
  CHECK(count(3e-2, "bf16") == 1);
  CHECK(count(3e-2, "f32") == 0);
  CHECK(count(3e-3, "bf16") == 0);
  CHECK(count(2e-5, "f32") == 1);
}

TEST_CASE("every shipped config parses; those of the paper are fp16") {
  int seen = 0;
  for (auto const& entry : fs::recursive_directory_iterator(test::source_dir() / "configs")) {
    const fs::path path = entry.path();
    if (path.extension() != ".json" || path.filename() == "model.json" ||
        path.parent_path().filename() == "prompts" || path.parent_path().filename() == "devices") {
      continue;
    }
    INFO(path);
    TrainConfig config = parse_config(read_config_file(path, {}), path.string());
    const bool paper = path.parent_path().filename() == "paper";
    CHECK((config.model.dtype == DType::f16) == paper);
    config.model.shape = Json();  // of a checkpoint that is not here
    resolve(config, ModelConfig{});
    CHECK((config.optimizer.rounding == Rounding::stochastic) ==
          (config.model.dtype == DType::bf16));
    CHECK(config.gradient_check == GradientCheck::step);  // they clip by the norm
    CHECK(config.schedule.published == (paper || path.parent_path().filename() == "quickstart"));
    CHECK(unused_keys(config).empty());
    ++seen;
  }
  CHECK(seen >= 18);
}

TEST_CASE("a shipped config is found by its bare name") {
  const std::vector<fs::path> shipped{test::source_dir() / "configs"};
  CHECK(find_config("llama65b.json", shipped) == test::source_dir() / "configs" / "llama65b.json");
  CHECK(find_config("superglue/rte-7b", shipped).filename() == "rte-7b.json");
  CHECK_THROWS_WITH(find_config("llama56b.json", shipped), Catch::Contains("llama65b.json"));
}
