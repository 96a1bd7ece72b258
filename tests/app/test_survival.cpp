#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "training.h"

using namespace lomo::test;
namespace fs = std::filesystem;

TEST_CASE("every signal that asks for the end saves, and ends with 7") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false})");
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGHUP}) {
    const std::string name = "run" + std::to_string(signal);
    const Process process(place, command(place, name, {"--set", "train.epochs=20000"}));
    wait_for_steps(process, place, name, 3);
    process.send(signal);
    // What launchers and job queues send next must not cut the save short.
    if (signal != SIGINT) process.send(SIGTERM);
    process.send(SIGUSR1);
    const ProcessResult result = process.wait();
    INFO(signal << " " << result.err);
    CHECK(result.code == 7);
    CHECK(checkpoints_of(place, name).size() == 1);
  }
}

TEST_CASE("a signal in the middle of a save that takes long does not cut it short") {
  const Workplace place, inspect;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 1})");
  const SlowDisk slow(5000);
  const Process process(place, command(place, "out", {"--set", "train.epochs=20000"}));
  wait_for_steps(process, place, "out", 3);
  wait_until(process, [&] { return saving(place, "out"); });
  for (const int signal : {SIGTERM, SIGTERM, SIGUSR1, SIGHUP}) process.send(signal);
  const ProcessResult result = process.wait();
  INFO(result.err);
  CHECK(result.code == 7);
  CHECK_FALSE(saving(place, "out"));
  CHECK_FALSE(checkpoints_of(place, "out").empty());
  check_all_whole(inspect, place, "out");
}

TEST_CASE("a second Ctrl-C ends at once with 130, and the run can still be continued") {
  const Workplace place, inspect;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 1})");
  {
    const SlowDisk slow(5000);  // so that the save is still going on when the second one comes
    const Process process(place, command(place, "out", {"--set", "train.epochs=20000"}));
    wait_for_steps(process, place, "out", 3);
    process.send(SIGINT);
    wait_until(process, [&] { return contains(slurp(place / "stderr"), "Ctrl-C once more"); });
    process.send(SIGINT);
    CHECK(process.wait().code == 130);
  }
  CHECK(run(place, {"verify", place / "out/model"}).code == 4);
  check_all_whole(inspect, place, "out");
  const ProcessResult resumed =
      run(place, {"--resume", place / "out", "--set", "train.max_steps=1"});
  INFO(resumed.err);
  CHECK(resumed.code == 0);
}

TEST_CASE("checkpoints come by the clock too") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false},
      "save": {"every_minutes": 0.001, "keep_last": 3})");
  const Process process(place, command(place, "out", {"--set", "train.epochs=20000"}));
  wait_until(process, [&] { return checkpoints_of(place, "out").size() == 3; });
  process.send(SIGUSR1);
  CHECK(process.wait().code == 7);
}

TEST_CASE("the best checkpoint by a metric stays beside the newest") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"every_steps": 2, "at_end": false},
      "save": {"every_steps": 2, "keep_last": 1, "keep_best": 1, "best_metric": "loss",
               "final_model": "none"})");
  // A rate that grows worse with time: the best model is an early one.
  const ProcessResult result =
      run(place, command(place, "out",
                         {"--set", "optimizer.lr=1", "--set", "clip.norm=0", "--set",
                          "schedule.kind=constant", "--set", "spike_guard.action=off"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  std::string best;
  double minimum = 1e300;
  std::ifstream metrics(place / "out/metrics.jsonl");
  for (std::string line; std::getline(metrics, line);) {
    const std::string tag = R"("tag":"step-)", loss = R"("loss":)";
    if (!contains(line, tag)) continue;
    const double value = std::stod(line.substr(line.find(loss) + loss.size()));
    if (value >= minimum) continue;
    minimum = value;
    best = "step-" + std::to_string(std::stoi(line.substr(line.find(tag) + tag.size())));
  }
  INFO(best << " with " << minimum);
  const std::vector<std::string> kept = checkpoints_of(place, "out");
  CHECK(kept.size() == 2);
  CHECK(best != "step-24");
  CHECK(fs::exists(place / ("out/checkpoints/" + best)));
  CHECK(fs::exists(place / "out/checkpoints/step-24"));
}

TEST_CASE("a damaged newest checkpoint is reported, and the run resumes from the one before") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "adamw", "lr": 0.001})",
               R"(, "eval": {"before": false}, "save": {"every_steps": 5})");
  REQUIRE(run(place, command(place, "whole", {})).code == 0);
  const Process process(place, command(place, "out", {}));
  wait_until(process, [&] { return checkpoints_of(place, "out").size() == 2; });
  process.send(SIGKILL);
  process.wait();
  std::vector<std::string> names = checkpoints_of(place, "out");
  std::sort(names.begin(), names.end(), [](auto const& a, auto const& b) {
    return std::stoi(a.substr(5)) < std::stoi(b.substr(5));
  });
  const fs::path file = place / ("out/checkpoints/" + names.back() + "/optimizer.safetensors");
  std::string bytes = slurp(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(file, std::ios::binary) << bytes;
  const ProcessResult resumed = run(place, {"--resume", place / "out"});
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(contains(resumed.err, "checkpoints/" + names.back() + " is damaged and not used"));
  CHECK(contains(resumed.err, "checkpoints/" + names.front()));
  CHECK(weights(place / "out/model") == weights(place / "whole/model"));
}

TEST_CASE("two runs cannot train in one folder") {
  const Workplace place, other;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 5})");
  const Process process(place, command(place, "out", {"--set", "train.epochs=20000"}));
  wait_for_steps(process, place, "out", 6);
  const ProcessResult second = run(other, {"--resume", place / "out"});
  INFO(second.err);
  CHECK(second.code == 2);
  CHECK(contains(second.err, "another process"));
  process.send(SIGKILL);
  process.wait();
  // The lock of a process that was killed is free.
  const ProcessResult third = run(other, {"--resume", place / "out", "--set", "train.max_steps=6"});
  INFO(third.err);
  CHECK(third.code == 0);
}

TEST_CASE("what cannot change in the middle of a run is refused with a list, the rest is taken") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo,
               R"(, "eval": {"before": false}, "save": {"every_steps": 8, "final_model": "none"})");
  const ProcessResult first = run(place, command(place, "out", {}));
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK(checkpoints_of(place, "out").size() == 2);  // of steps 16 and 24

  const ProcessResult refused =
      run(place, {"--resume", place / "out", "--set", "train.seed=8", "--set", "optimizer.lr=0.01",
                  "--set", "batch.sequences=2"});
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "train.seed: 7 -> 8"));
  CHECK(contains(refused.err, "batch.sequences: 4 -> 2"));

  const ProcessResult taken = run(place, {"--resume", place / "out", "--set", "optimizer.lr=0.01",
                                          "--set", "train.epochs=4", "--output", place / "longer"});
  INFO(taken.err);
  CHECK(taken.code == 0);
  CHECK(contains(taken.err, "optimizer.lr: 0.05 -> 0.01"));
  CHECK(steps_of(place, "longer") == 8);

  // Other words of the same number: only the content tells.
  std::string data = slurp(place / "ids.jsonl");
  for (std::size_t at = data.find(", 2]"); at != std::string::npos;
       at = data.find(", 2]", at + 1)) {
    data[at - 1] ^= 1;
  }
  std::ofstream(place / "ids.jsonl") << data;
  const ProcessResult other = run(place, {"--resume", place / "out", "--set", "train.epochs=4"});
  CHECK(other.code == 4);
  CHECK(contains(other.err, "training data changed"));

  std::ofstream(place / "ids.jsonl") << data.substr(0, data.size() / 2);
  CHECK(run(place, {"--resume", place / "out", "--set", "train.epochs=4"}).code == 4);
}

TEST_CASE("verify tells a good folder from a bad one by its exit code") {
  const Workplace place;
  make_model_and_data(place);
  const ProcessResult good = run(place, {"verify", place / "model"});
  CHECK(good.code == 0);
  CHECK(contains(good.out, "hash"));
  std::string bytes = slurp(place / "model/model.safetensors");
  std::ofstream(place / "model/model.safetensors", std::ios::binary)
      << bytes.substr(0, bytes.size() - 1);
  const ProcessResult cut = run(place, {"verify", place / "model"});
  CHECK(cut.code == 4);
  CHECK(contains(cut.out, "cut short"));
  CHECK(run(place, {"verify", place / "nothing"}).code == 4);
  CHECK(run(place, {"verify"}).code == 2);
}
