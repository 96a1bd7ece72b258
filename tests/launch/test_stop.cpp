// Requests to stop, on ranks.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "launch.h"
#include "support/disks.h"
#include "support/environment.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;
using std::chrono::milliseconds;

void write_many(Workplace const& place, std::string const& file, int count) {
  std::ofstream data(place / file);
  for (int i = 0; i < count; ++i) {
    data << "{\"ids\": [1, " << 3 + i % 29 << ", " << 3 + i % 7 << ", 2], \"loss_from\": 1}\n";
  }
}

std::vector<pid_t> ranks_of(Process const& script) {
  std::vector<pid_t> all;
  for (const pid_t child : children_of(script.id())) {
    const std::vector<pid_t> ranks = children_of(child);
    all.insert(all.end(), ranks.begin(), ranks.end());
  }
  return all;
}

}  // namespace

TEST_CASE("ranks that are asked to stop before the first step all end, with 7") {
  const Workplace place;
  make_model_and_data(place);
  write_many(place, "ids.jsonl", 40000);
  write_config(place, kLomo, "");
  const Environment environment(Variables{{"LOMO_TRAIN", LOMO_TRAIN_PROGRAM}});
  const auto arguments = [&](std::string const& name) {
    return Arguments{"2", place / "run.json", "--output", place / name, "--threads", "1"};
  };
  const auto begin = Clock::now();
  {
    const Process job(place, LOMO_MPIRUN_SCRIPT, arguments("whole"));
    wait_for_steps(job, place, "whole", 1);
    job.send(SIGTERM);
    CHECK(job.wait().code == 7);
  }
  const double first_step = seconds_since(begin);
  std::mt19937_64 random(5);
  double slowest = 0;
  for (int i = 0; i < 8; ++i) {
    const std::string name = "out" + std::to_string(i);
    const Process job(place, LOMO_MPIRUN_SCRIPT, arguments(name));
    // The script itself takes some time until it listens.
    const double moment = 0.3 + first_step * std::uniform_real_distribution<double>(0, 0.9)(random);
    std::this_thread::sleep_for(duration<double>(moment));
    const std::vector<pid_t> ranks = ranks_of(job);
    const auto when = Clock::now();
    job.send(i % 2 == 0 ? SIGINT : SIGTERM);
    bool any = true;
    while (any && seconds_since(when) < 10) {
      any = std::ranges::any_of(ranks, alive);
      std::this_thread::sleep_for(milliseconds(5));
    }
    const bool before = steps_of(place, name) == 0;
    if (before) slowest = std::max(slowest, seconds_since(when));
    const ProcessResult result = job.wait();
    INFO(moment << " s: " << result.err);
    CHECK(result.code == 7);
    CHECK_FALSE(any);
    CHECK((!before || !fs::exists(place / (name + "/checkpoints/step-1"))));
  }
  std::printf("8 stops of 2 ranks in the first %.2f s: the slowest took %.3f s\n", first_step,
              slowest);
  CHECK(slowest < 5.0);  // stops.sh measures it; here other tests may have the processors
}

TEST_CASE("an evaluation on ranks stops at its next batch and is not recorded") {
  const Workplace place;
  make_model_and_data(place);
  write_many(place, "held-out.jsonl", 60000);
  write_config(place, kLomo, "");
  const Environment environment(Variables{{"LOMO_TRAIN", LOMO_TRAIN_PROGRAM}});
  const Process job(
      place, LOMO_MPIRUN_SCRIPT,
      {"2", place / "run.json", "--output", place / "out", "--threads", "1", "--set",
       "data.validation=\"" + (place / "held-out.jsonl") + "\"", "--set", "data.validation_share=0",
       "--set", "eval.before=false", "--set", "eval.every_steps=1", "--set", "eval.max_tokens=16"});
  wait_for_steps(job, place, "out", 1);
  std::this_thread::sleep_for(milliseconds(100));
  job.send(SIGTERM);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 7);
  CHECK(count_lines(result.err, "mpirun.sh: all ranks stop, after the step they are in") == 1);
  CHECK(checkpoints_of(place, "out") == std::vector<std::string>{"step-1"});
  CHECK(count_lines(slurp(place / "out/metrics.jsonl"), "\"event\":\"eval\"") == 0);
}

TEST_CASE("on ranks too a Ctrl-C after a SIGTERM ends all at once with 130") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false})");
  std::string options;
  for (auto const& [name, value] : slow_disk(100000)) options += " -x " + name + "=" + value;
  const Environment environment({{"LOMO_TRAIN", LOMO_TRAIN_PROGRAM}, {"MPIRUN_OPTIONS", options}});
  const Process job(
      place, LOMO_MPIRUN_SCRIPT,
      {"2", place / "run.json", "--output", place / "out", "--set", "train.epochs=100000"});
  wait_for_steps(job, place, "out", 3);
  for (int i = 0; i < 3; ++i) {
    job.send(SIGTERM);
    std::this_thread::sleep_for(milliseconds(100));
  }
  CHECK_FALSE(job.ended());
  job.send(SIGINT);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 130);
}
