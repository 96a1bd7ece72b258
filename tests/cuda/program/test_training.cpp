// lomo-train --device cuda, on the emulated GPU.
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/program.h"
#include "environment.h"
#include "support/data.h"

using namespace lomo::test;
using nlohmann::json;

namespace {

struct Step {
  double loss, norm, lr;
};

/// A run of ten steps into the folder `name`.
std::vector<Step> train(Workplace const& place, std::string const& name, std::string const& device,
                        std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"--config",   place / "run.json",  "--output",
                                     place / name, "--device",          device,
                                     "--set",      "train.max_steps=10"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Outcome outcome = run(place, arguments);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(contains(outcome.err, "emulated CUDA (tests)") == (device == "cuda"));
  std::vector<Step> steps;
  std::istringstream lines(slurp(place / (name + "/metrics.jsonl")));
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line);
    if (event["event"] != "step") continue;
    REQUIRE(event["outcome"] == "applied");
    steps.push_back({event["loss"], event["grad_norm"], event["lr"]});
  }
  REQUIRE(steps.size() == 10);
  return steps;
}

struct Extents {
  double layers, depth, vocab, parameters;  // depth: of the longest sum of a product
};

/// Losses of two engines that round differently in f32. A gradient is the end of three passes of
/// about ten roundings a block and three at the ends, each of a sum of at most `depth` terms, and
/// rounding errors of n operations add up to less than 6 sqrt(n) u but once in 10^7 (Higham & Mary
/// 2019, theorem 2.4 with lambda = 6). A loss is off by so much of what it is made of, logits of
/// about loss + log V; and by what the steps before it were off, each of which moved the loss by at
/// most lr |g| |u|. |u| is at most 1, clipped (LOMO), or the root of the number of parameters, of
/// root mean square at most 1 (AdaLomo).
void check_losses(std::vector<Step> const& got, std::vector<Step> const& wanted, Extents const& e,
                  bool adalomo) {
  const double roundings = 3 * (10 * e.layers + 3) * e.depth;
  const double epsilon = 6 * std::sqrt(roundings) * 0x1p-24;
  double moved = 0;
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    const double size = wanted[k].loss + std::log(e.vocab);
    INFO("step " << k + 1 << ": " << got[k].loss << " for " << wanted[k].loss);
    CHECK(std::abs(got[k].loss - wanted[k].loss) <= epsilon * (size + moved));
    moved += wanted[k].lr * wanted[k].norm * (adalomo ? std::sqrt(e.parameters) : 1);
  }
  CHECK(wanted.back().loss < wanted.front().loss);  // there was something to compare
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
      << optimizer_of(adalomo) << R"(, "clip": {"norm": 1.0}, "save": {"final_model": false}})";
  const auto cpu = train(place, "cpu", "cpu");
  const Environment environment = hosted();
  check_losses(train(place, "cuda", "cuda"), cpu, {5, 172, 512, 260'032}, adalomo);
}

TEST_CASE("a run on the GPU has the same bits in whatever order threads, copies and queues go") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01, "rounding": "stochastic"})",
               R"(, "memory": {"tile_bytes": 512})");
  const std::vector<std::string> bf16{"--set", "model.dtype=bf16"};
  const auto train_as = [&](std::string const& name, std::map<std::string, std::string> policy) {
    const Environment environment = hosted(std::move(policy));
    train(place, name, "cuda", bf16);
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
  const Outcome more =
      run(place, {"--config", place / "run.json", "--resume", place / "run", "--set",
                  "train.max_steps=12", "--device", "cuda", "--output", place / "more"});
  INFO(more.err);
  CHECK(more.code == 0);
  CHECK(contains(more.err, "continuing after step "));
}
