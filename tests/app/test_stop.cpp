// Requests to stop, from the first second on.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "training.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;
using std::chrono::milliseconds;

// Seconds. What stops.sh finds is a fraction of one; here other tests may have the processors.
constexpr double kObeyed = 5.0;

/// A shape whose weights take a while to draw.
void write_large_shape(Workplace const& place) {
  std::ofstream(place / "large.json") << R"({"architectures": ["LlamaForCausalLM"],
    "model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 16, "num_attention_heads": 8,
    "num_key_value_heads": 8, "intermediate_size": 4096, "vocab_size": 32000,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "hidden_act": "silu", "torch_dtype": "bfloat16", "tie_word_embeddings": false})";
}

}  // namespace

TEST_CASE("twenty stops at random moments from the start to the first step are obeyed at once") {
  const Workplace place;
  make_model_and_data(place);
  write_many(place, "ids.jsonl", 30000);
  write_config(place, kLomo, R"(, "eval": {"before": true, "max_tokens": 2048})");
  const std::vector<std::string> more{"--set", "train.epochs=20"};
  const auto begin = Clock::now();
  {
    const Process process(place, command(place, "whole", more));
    wait_for_steps(process, place, "whole", 1);
    process.send(SIGKILL);
    process.wait();
  }
  const double first_step = seconds_since(begin);
  std::mt19937_64 random(3);
  std::vector<double> taken;
  int before_main = 0;
  for (int i = 0; i < 20; ++i) {
    const int signal =
        std::vector{SIGINT, SIGTERM, SIGUSR1, SIGHUP}[static_cast<std::size_t>(i % 4)];
    const std::string name = "out" + std::to_string(i);
    const Process process(place, command(place, name, more));
    const double moment = first_step * std::uniform_real_distribution<double>(0, 0.95)(random);
    std::this_thread::sleep_for(duration<double>(moment));
    const auto when = Clock::now();
    process.send(signal);
    const ProcessResult result = process.wait();
    taken.push_back(seconds_since(when));
    INFO(signal << " after " << moment << " s, " << taken.back() << " s: " << result.err);
    CHECK(taken.back() < kObeyed);
    // While the program is still being loaded the signal itself ends it.
    before_main += result.code == -1 ? 1 : 0;
    CHECK((result.code == 7 || (result.code == -1 && result.err.empty())));
    CHECK((steps_of(place, name) > 0 || checkpoints_of(place, name).empty()));
  }
  std::printf("20 stops in the first %.2f s: the slowest took %.3f s, %d while it was loaded\n",
              first_step, *std::ranges::max_element(taken), before_main);
  CHECK(before_main < 10);
}

TEST_CASE("a stop before the first step says that there is nothing to save, and leaves it so") {
  const Workplace place;
  make_model_and_data(place);
  write_many(place, "ids.jsonl", 200000);
  write_config(place, kLomo, "");
  const Process process(place, command(place, "out", {}));
  wait_until(process, [&] { return fs::exists(place / "out"); });  // before the data are read
  process.send(SIGTERM);
  const ProcessResult result = process.wait();
  INFO(result.err);
  CHECK(result.code == 7);
  CHECK(contains(result.err, "stopped before the first step: there is nothing to save"));
  CHECK_FALSE(fs::exists(place / "out/checkpoints"));
}

TEST_CASE("after any request one Ctrl-C ends at once, and any number of SIGTERMs do not") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false})");
  const SlowDisk slow(20000);
  const Process process(place, command(place, "out", {"--set", "train.epochs=20000"}));
  wait_for_steps(process, place, "out", 3);
  for (int i = 0; i < 20; ++i) {
    process.send(SIGTERM);
    std::this_thread::sleep_for(milliseconds(2));
  }
  CHECK_FALSE(process.ended());
  const auto when = Clock::now();
  process.send(SIGINT);
  const ProcessResult result = process.wait();
  INFO(result.err);
  CHECK(result.code == 130);
  CHECK(seconds_since(when) < kObeyed);
  CHECK(contains(result.err, "Ctrl-C once more"));
}

TEST_CASE("an evaluation stops at its next batch and is not recorded") {
  const Workplace place;
  make_model_and_data(place);
  write_many(place, "held-out.jsonl", 60000);
  write_config(place, kLomo, "");
  const std::vector<std::string> more{
      "--set", "data.validation=\"" + (place / "held-out.jsonl") + "\"",
      "--set", "data.validation_share=0",
      "--set", "eval.before=false",
      "--set", "eval.max_tokens=16"};
  // In the middle of a run, and after its last step.
  for (const std::string when : {"eval.every_steps=1", "train.max_steps=1"}) {
    const std::string name = when.substr(0, 4);
    auto all = command(place, name, more);
    all.insert(all.end(), {"--set", when});
    const Process process(place, all);
    wait_for_steps(process, place, name, 1);
    std::this_thread::sleep_for(milliseconds(100));
    process.send(SIGINT);
    const auto asked = Clock::now();
    const ProcessResult result = process.wait();
    INFO(result.err);
    CHECK(seconds_since(asked) < kObeyed);
    CHECK(result.code == 7);
    CHECK(checkpoints_of(place, name) == std::vector<std::string>{"step-1"});
    CHECK(count_lines(slurp(place / (name + "/metrics.jsonl")), "\"event\":\"eval\"") == 0);
  }
}

TEST_CASE("every command obeys") {
  const Workplace place;
  make_model_and_data(place);
  write_large_shape(place);
  write_many(place, "many.jsonl", 300000);
  write_config(place, kLomo, "");
  for (std::vector<std::string> const& arguments : std::vector<std::vector<std::string>>{
           {"init", "--config", place / "large.json", "--output", place / "made"},
           {"eval", "--model", place / "model", "--task", "ids", "--data", place / "many.jsonl"},
           {"plan", "--config", place / "run.json", "--set",
            "data.train=\"" + (place / "many.jsonl") + "\""},
           {"ablate", "--config", place / "run.json", "--steps", "1000"}}) {
    const Process process(place, arguments);
    std::this_thread::sleep_for(milliseconds(300));
    const auto when = Clock::now();
    process.send(SIGTERM);
    const ProcessResult result = process.wait();
    INFO(arguments.front() << ": " << result.err);
    CHECK(seconds_since(when) < kObeyed);
    CHECK((result.code == 7 || (result.code == -1 && result.err.empty())));
  }
  // A folder that init had not written whole is not there, and in nobody's way.
  CHECK_FALSE(fs::exists(place / "made"));
  const ProcessResult again =
      run(place, {"init", "--config", place / "shape.json", "--output", place / "made"});
  INFO(again.err);
  CHECK(again.code == 0);
  CHECK_FALSE(fs::exists(place / ".partial-made"));
  CHECK(weights(place / "made") == weights(place / "model"));
}

TEST_CASE("work is bounded by the steps of a run, not by its epochs") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  for (char const* cap : {"batch.max_tokens=0", "batch.max_tokens=40"}) {
    const std::string name = std::string("out") + cap[17];
    const auto begin = Clock::now();
    const ProcessResult result = run(place, command(place, name,
                                                    {"--set", "train.epochs=1000000000", "--set",
                                                     "train.max_steps=5", "--set", cap}));
    INFO(cap << ": " << result.err);
    CHECK(result.code == 0);
    CHECK(steps_of(place, name) == 5);
    CHECK(seconds_since(begin) < 60);
  }
}

TEST_CASE("faults of the weights are found before any data are read") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  fs::remove(place / "ids.jsonl");
  fs::resize_file(place / "model/model.safetensors", 100);
  for (std::vector<std::string> const& arguments : std::vector<std::vector<std::string>>{
           command(place, "out", {}),
           {"eval", "--model", place / "model", "--task", "ids", "--data", place / "ids.jsonl"}}) {
    const ProcessResult result = run(place, arguments);
    INFO(result.err);
    CHECK(result.code == 4);
    CHECK(contains(result.err, "model.safetensors"));
    CHECK_FALSE(contains(result.err, "ids.jsonl"));
  }
}
