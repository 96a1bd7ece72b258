// lomo-train --device cuda beside --device cpu, on the emulated GPU and, in tests/gpu, on a real
// one.
#include <fstream>

#include "app/program.h"
#include "hosted.h"
#include "support/data.h"
#include "trajectory.h"

using namespace lomo::test;

namespace {

/// A run of ten steps into the folder `name`, of which the first ones overflow.
std::vector<Step> train(Workplace const& place, std::string const& name, std::string const& device,
                        std::vector<std::string> const& more = {}, bool overflows = false) {
  std::vector<std::string> arguments{"--config",   place / "run.json",  "--output",
                                     place / name, "--device",          device,
                                     "--set",      "train.max_steps=10"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ProcessResult result = run(place, arguments);
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.err, kEngineName) == (device == "cuda"));
  // Heads so narrow have no tiles there.
  CHECK(contains(result.err, "simple kernels on the GPU") == (device == "cuda"));
  std::vector<Step> steps = steps_of_run(place, name, overflows);
  REQUIRE((steps.size() < 10) == overflows);
  REQUIRE(!steps.empty());
  return steps;
}

std::string optimizer_of(bool adalomo) {
  return adalomo ? R"({"name": "adalomo", "lr": 0.002})" : R"({"name": "lomo", "lr": 0.1})";
}

}  // namespace

TEST_CASE("ten steps of a small model on the GPU are those of the CPU") {
  const bool adalomo = GENERATE(false, true);
  const Workplace place;
  make_model_and_data(place);
  write_config(place, optimizer_of(adalomo), R"(, "eval": {"before": true})");
  const auto cpu = train(place, "cpu", "cpu");
  const Environment environment = hosted();
  check_losses(train(place, "cuda", "cuda"), cpu, {2, 32, 32, 5000}, adalomo);
  CHECK(cpu.back().loss < cpu.front().loss);  // there was something to compare
}

TEST_CASE("ten steps of stories260K on the GPU are those of the CPU") {
  LOMO_NEEDS_DATA();
  const bool adalomo = GENERATE(false, true);
  const Workplace place;
  std::ofstream(place / "stories.jsonl") << [] {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      text += R"({"text": "Once upon a time, there was a little girl. )";
      text += i % 2 == 0 ? "She loved her red ball.\"}\n" : "One day she saw a big dog.\"}\n";
    }
    return text;
  }();
  const std::string model = (data_dir() / "checkpoints" / "stories260K" / "hf").string();
  std::ofstream(place / "run.json")
      << R"({"model": {"path": ")" << model << R"(", "dtype": "f32"}, "data": {"task": "text",
      "train": ")"
      << place / "stories.jsonl"
      << R"(", "max_length": 32}, "batch": {"sequences": 1},
      "train": {"epochs": 1, "seed": 3}, "optimizer": )"
      << optimizer_of(adalomo) << R"(, "clip": {"norm": 1.0}, "save": {"final_model": "none"}})";
  const auto cpu = train(place, "cpu", "cpu");
  const Environment environment = hosted();
  check_losses(train(place, "cuda", "cuda"), cpu, {5, 172, 512, 260'032}, adalomo);
  CHECK(cpu.back().loss < cpu.front().loss);
}

TEST_CASE("a run on the GPU has the same bits in whatever order threads, copies and streams go") {
  struct Case {
    std::string optimizer, dtype;
    bool overflows;  // at first, until the scale is low enough
  };
  const Case c =
      GENERATE(Case{R"({"name": "lomo", "lr": 0.01, "rounding": "stochastic"})", "bf16", false},
               Case{R"({"name": "adalomo", "lr": 0.002, "rounding": "stochastic"})", "bf16", false},
               Case{R"({"name": "lomo", "lr": 0.1})", "f16", true});
  const Workplace place;
  make_model_and_data(place);
  write_config(place, c.optimizer,
               R"(, "memory": {"tile_bytes": 512}, "loss_scale": {"initial": 16777216})");
  const auto train_as = [&](std::string const& name, std::map<std::string, std::string> policy) {
    const Environment environment = hosted(std::move(policy));
    train(place, name, "cuda", {"--set", "model.dtype=" + c.dtype}, c.overflows);
    return weights(place / (name + "/model"));
  };
  const std::string first = train_as("first", {});
  CHECK(!first.empty());
  CHECK(train_as("second", {{"CUDA_HOST_STREAMS", "lazy"},
                            {"CUDA_HOST_SEED", "12"},
                            {"CUDA_HOST_ORDER", "priority"}}) == first);
  CHECK(train_as("third", {{"CUDA_HOST_STREAMS", "eager"},
                           {"CUDA_HOST_COPIES", "early"},
                           {"CUDA_HOST_ORDER", "reverse"},
                           {"CUDA_HOST_ARCH", "90"}}) == first);
}

TEST_CASE("a model trained on the GPU is evaluated and continued there") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "adalomo", "lr": 0.002})", R"(, "save": {"every_steps": 5})");
  const Environment environment = hosted();
  train(place, "run", "cuda");
  const ProcessResult more =
      run(place, {"--config", place / "run.json", "--resume", place / "run", "--set",
                  "train.max_steps=12", "--device", "cuda", "--output", place / "more"});
  INFO(more.err);
  CHECK(more.code == 0);
  CHECK(contains(more.err, "continuing after step "));
}
