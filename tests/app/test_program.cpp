#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "program.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/environment.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

/// Engine memory by category at the peak, as a command plans it and as it says it was.
std::string planned_in(std::string const& log) {
  return between(log, "at the peak (", ")");
}
std::string held_in(std::string const& log) {
  const std::string line = between(log, "peak memory ", "\n");
  return line.substr(std::min(line.size(), line.find(": ") + 2));
}

}  // namespace

TEST_CASE("a command line that makes no sense is one line and exit code 2") {
  const Workplace place;
  for (std::vector<std::string> const& arguments :
       {std::vector<std::string>{"--no-such-flag"},
        {"--config", place / "missing.json"},
        {"--threads", "-3", "--config", "llama7b.json"},
        {"--resume"},
        {"eval", "--task", "rte"},
        {"--config", "paper/llama7b.json", "--set", "optimizer.lrr=1"}}) {
    const ProcessResult result = run(place, arguments);
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(contains(result.err, "error: "));
  }
}

TEST_CASE("a word on the command line that nobody knows is answered with the nearest one") {
  const Workplace place;
  CHECK(contains(run(place, {"--confg", "llama7b.json"}).err, "Did you mean --config?"));
  CHECK(contains(run(place, {"generat", "--prompt", "x"}).err, "Did you mean generate?"));
  CHECK(contains(run(place, {"plan", "--config", "llama7b.json", "--memry", "1GiB"}).err,
                 "Did you mean --memory?"));
  CHECK_FALSE(contains(run(place, {"--xyzzy"}).err, "Did you mean"));
  CHECK(contains(run(place, {"plan", "--config", "llama7b.json", "--profile", "rtx5090"}).err,
                 "rtx4090"));
}

TEST_CASE("a missing model folder is exit code 4 and says what belongs there") {
  const Workplace place;
  const ProcessResult result =
      run(place, {"--config", "llama65b.json", "--set", "model.path=" + (place / "nothing"),
                  "--output", place / "out"});
  INFO(result.err);
  CHECK(result.code == 4);
  CHECK(contains(result.err, "model.safetensors"));
  CHECK_FALSE(fs::exists(place / "out"));
}

TEST_CASE("help and version are exit code 0 and name the exit codes") {
  const Workplace place;
  const ProcessResult help = run(place, {"--help"});
  CHECK(help.code == 0);
  CHECK(contains(help.out, "Exit codes"));
  CHECK(run(place, {"--version"}).code == 0);
  CHECK(run(place, {"eval", "--help"}).code == 0);
}

TEST_CASE("a program that finds a liblomo.so of other sources says so and does nothing") {
  const Workplace place;
  // An address sanitizer in the program wants to be first, and need not be.
  const Environment other(
      {{"LD_PRELOAD", LOMO_OTHER_BUILD}, {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
  for (char const* program : {LOMO_TRAIN_PROGRAM, LOMO_BENCH_PROGRAM}) {
    const ProcessResult result = Process(place, program, {"--version"}).wait();
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(contains(result.err, "built from other sources: it is 0.0.0-other, this program "));
  }
}

TEST_CASE("a run trains, reports and saves, and is never overwritten") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  const std::vector<std::string> command{"--config", place / "run.json", "--output", place / "out"};
  const ProcessResult first = run(place, command);
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK(contains(first.out, "perplexity"));
  CHECK(count_lines(slurp(place / "out/metrics.jsonl"), "\"event\":\"step\"") == 24);
  CHECK(fs::exists(place / "out/config.json"));
  CHECK(fs::exists(place / "out/model/config.json"));
  CHECK(weights(place / "out/model") != weights(place / "model"));

  const ProcessResult again = run(place, command);
  CHECK(again.code == 2);
  CHECK(contains(again.err, "not empty"));

  const ProcessResult eval = run(place, {"eval", "--model", place / "out/model", "--task", "ids",
                                         "--data", place / "ids.jsonl"});
  INFO(eval.err);
  CHECK(eval.code == 0);
  CHECK(contains(eval.out, "loss "));
  CHECK(contains(planned_in(eval.err), "weights"));
  CHECK(held_in(eval.err) == planned_in(eval.err));
}

TEST_CASE(
    "an fp16 run with the settings of the paper trains, shows its loss scale and its rounding") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.03})", "");
  const ProcessResult done =
      run(place, {"--config", place / "run.json", "--output", place / "out", "--set",
                  "model.dtype=f16", "--set", "loss_scale.initial=1073741824"});
  INFO(done.err);
  REQUIRE(done.code == 0);
  CHECK(contains(done.err, "overflow"));
  CHECK(contains(done.err, "the loss scale falls from"));
  CHECK(contains(done.out, "loss scale "));
  CHECK(contains(done.out, " of the step realized"));
  const std::string metrics = slurp(place / "out/metrics.jsonl");
  CHECK(contains(metrics, "\"outcome\":\"overflow\""));
  CHECK(contains(metrics, "\"loss_scale\":1073741824.0"));
  CHECK(contains(metrics, "\"realised\":"));
  CHECK(contains(slurp(place / "out/model/config.json"), "float16"));
}

TEST_CASE("a run that diverges is exit code 5") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.03})", "");
  // Batches of other lengths differ by more than a tenth of a deviation.
  const std::vector<std::string> spike{"spike_guard.action=stop", "spike_guard.min_steps=2",
                                       "spike_guard.threshold=0.1"};
  const std::vector<std::string> floor{"model.dtype=f16", "loss_scale.initial=1073741824",
                                       "loss_scale.minimum=1073741824"};
  for (auto const& [settings, reason] :
       {std::pair{spike, "spike_guard.action"}, std::pair{floor, "loss_scale.minimum"}}) {
    std::vector<std::string> command{"--config", place / "run.json", "--output", place / reason};
    for (std::string const& setting : settings) {
      command.insert(command.end(), {"--set", setting});
    }
    const ProcessResult result = run(place, command);
    INFO(result.err);
    CHECK(result.code == 5);
    CHECK(contains(result.err, reason));
  }
}

TEST_CASE("a stopped and resumed run ends with the bits of one that was not stopped") {
  const Workplace place;
  make_model_and_data(place);
  const std::string optimizer =
      GENERATE(std::string(R"({"name": "lomo", "lr": 0.05})"),
               std::string(R"({"name": "adalomo", "lr": 0.01})"),
               std::string(R"({"name": "sgd", "lr": 0.05, "momentum": 0.9})"),
               std::string(R"({"name": "adamw", "lr": 0.001})"));
  INFO(optimizer);
  // Long enough to be interrupted, short enough to wait for.
  write_config(place, optimizer, R"(, "eval": {"before": false})");
  const std::vector<std::string> long_run{"--config", place / "run.json", "--set",
                                          "train.epochs=60", "--output"};
  std::vector<std::string> whole = long_run, cut = long_run;
  whole.push_back(place / "whole");
  cut.push_back(place / "cut");
  if (optimizer.find("lomo") != std::string::npos && GENERATE(false, true)) {
    // In fp16, from a scale that overflows; scale and guard are part of the state.
    for (char const* setting :
         {"model.dtype=f16", "loss_scale.initial=1073741824", "loss_scale.window=7",
          "spike_guard.action=cut_lr", "spike_guard.min_steps=5", "spike_guard.threshold=2",
          "optimizer.rounding=stochastic"}) {
      for (auto* command : {&whole, &cut}) command->insert(command->end(), {"--set", setting});
    }
  }
  REQUIRE(run(place, whole).code == 0);

  const Process process(place, cut);
  while (count_lines(slurp(place / "cut/metrics.jsonl"), "\"event\":\"step\"") < 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  process.send(SIGINT);
  const ProcessResult stopped = process.wait();
  INFO(stopped.err);
  REQUIRE(stopped.code == 7);
  CHECK(contains(stopped.err, "--resume"));
  CHECK_FALSE(fs::exists(place / "cut/model"));

  const ProcessResult resumed = run(place, {"--resume", place / "cut"});
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(weights(place / "cut/model") == weights(place / "whole/model"));
  CHECK(weights(place / "whole/model").size() > 1000);

  const ProcessResult twice = run(place, {"--resume", place / "cut"});
  CHECK(twice.code == 2);
}

TEST_CASE("data that does not fit the model is exit code 4 and leaves no run folder behind") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  std::ofstream(place / "ids.jsonl", std::ios::app) << "{\"ids\": [1, 5, 77]}\n";
  const std::vector<std::string> command{"--config", place / "run.json", "--output", place / "out"};
  const ProcessResult beyond = run(place, command);
  INFO(beyond.err);
  CHECK(beyond.code == 4);
  CHECK(contains(beyond.err, "77"));
  CHECK((!fs::exists(place / "out") || fs::is_empty(place / "out")));
  std::ofstream(place / "ids.jsonl") << "{\"ids\": [1, 5, \n";
  CHECK(run(place, command).code == 4);
}

TEST_CASE("a run that cannot fit is exit code 3") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", R"(, "memory": {"budget": "16KiB"})");
  const ProcessResult result =
      run(place, {"--config", place / "run.json", "--output", place / "out"});
  INFO(result.err);
  CHECK(result.code == 3);
  const ProcessResult eval =
      run(place, {"eval", "--model", place / "model", "--task", "ids", "--data",
                  place / "ids.jsonl", "--set", "memory.budget=16KiB"});
  INFO(eval.err);
  CHECK(eval.code == 3);
  CHECK(contains(eval.err, "eval.max_tokens"));
}

TEST_CASE("generate continues a prompt within the memory it plans") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const std::string model = (data_dir() / "checkpoints/stories260K/hf").string();
  const ProcessResult result =
      run(place, {"generate", "--model", model, "--prompt", "Once upon a time", "--max-tokens",
                  "20", "--temperature", "0"});
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(contains(result.out, "Once upon a time, there was"));
  CHECK(contains(planned_in(result.err), "weights"));
  CHECK(held_in(result.err) == planned_in(result.err));
  CHECK(run(place, {"generate", "--model", model, "--max-tokens", "-1"}).code == 2);
}

TEST_CASE("plan says whether a run fits, without its weights, by exit code") {
  const Workplace place;
  const std::string shape =
      R"("hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 96, "vocab_size": 100)";
  const auto write = [&](std::string const& keys) {
    std::ofstream(place / "run.json")
        << R"({"model": {"path": "nowhere", "dtype": "bf16", "shape": {)" << keys
        << R"(}}, "data": {"task": "ids", "train": "nowhere.jsonl", "max_length": 33},
             "batch": {"sequences": 3}, "optimizer": {"lr": 0.01}})";
  };
  write(shape);
  const std::vector<std::string> plan{"plan", "--config", place / "run.json"};
  const auto with = [&](std::vector<std::string> const& more) {
    std::vector<std::string> all = plan;
    all.insert(all.end(), more.begin(), more.end());
    return run(place, all);
  };
  ProcessResult result = with({"--memory", "4GiB", "--advise", "--html", place / "plan.html"});
  INFO(result.err << result.out);
  CHECK(result.code == 0);
  CHECK(contains(result.out, "96 tokens (96 targets, 96 distinct ids) in 3 sequences"));
  CHECK(contains(result.out, "fits 4.00 GiB"));
  CHECK(contains(result.out, "mlp.gate_proj.weight, up_proj.weight (2 of them)"));
  CHECK(contains(result.out, "--set train.recompute=none"));
  CHECK(contains(result.out, "--set memory.budget=3GiB"));  // factors are kept: less work
  CHECK(contains(slurp(place / "plan.html"), "<svg"));
  result = with({"--memory", "1GiB", "--json"});
  CHECK(result.code == 3);
  CHECK(contains(result.out, "\"fits\": false"));

  // Nonsense.
  for (std::vector<std::string> const& wrong :
       std::vector<std::vector<std::string>>{{"--memory", "-3GiB"},
                                             {"--memory", "plenty"},
                                             {"--profile", "rtx9999"},
                                             {"--tokens", "-1"},
                                             {"--tokens", "10", "--targets", "11"},
                                             {"--sequences", "4"},
                                             {"--ranks", "0"}}) {
    INFO(wrong.front() << ' ' << wrong.back());
    result = with(wrong);
    CHECK(result.code == 2);
    CHECK(contains(result.err, "error: "));
  }
  for (std::string const& wrong :
       {shape + R"(, "num_key_value_heads": 3)", shape + R"(, "head_dim": -16)",
        R"("hidden_size": -64)" + shape.substr(shape.find(',')),
        R"("hidden_size": 0)" + shape.substr(shape.find(',')),
        R"("hidden_size": 62)" + shape.substr(shape.find(',')),
        R"("hidden_size": 64)" + std::string()}) {
    write(wrong);
    result = with({});
    INFO(wrong << ": " << result.err);
    CHECK(result.code == 2);
    CHECK(contains(result.err, "/model/shape"));
  }
}
