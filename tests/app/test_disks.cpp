#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/data.h"
#include "training.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

/// No file of this process and its children may grow above so many bytes: what a full disk does to
/// a write, without being root.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  FileSizeLimit(FileSizeLimit const&) = delete;  // restores the limit
  FileSizeLimit& operator=(FileSizeLimit const&) = delete;
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

std::size_t failed_saves(Workplace const& place) {
  return count_lines(slurp(place / "stderr"), "could not be written");
}

/// A run of the same length at a constant rate has the same weights after each step, however long
/// it was meant to be.
std::vector<std::string> at_constant_rate(std::vector<std::string> more) {
  more.insert(more.end(), {"--ignore-disk-space", "--set", "schedule.kind=constant", "--set",
                           "schedule.warmup=0"});
  return more;
}

}  // namespace

TEST_CASE("a disk that is full while saving does not end the run, and the next try works") {
  const Workplace place;
  make_model_and_data(place);
  // Large enough that the weights do not fit under the limit while logs and metrics do.
  write_config(place, kLomo,
               R"(, "eval": {"before": false, "at_end": false}, "save": {"every_steps": 2})");
  const std::vector<std::string> arguments = command(place, "out", {"--set", "train.epochs=2"});
  {
    const FileSizeLimit limit(12 << 10);
    const ProcessResult result = run(place, arguments);
    INFO(result.err);
    CHECK(result.code == 1);  // the final model cannot be written either
    CHECK(contains(result.err, "could not be written"));
    CHECK(contains(result.err, "training goes on"));
    CHECK(steps_of(place, "out") == 16);
    CHECK_FALSE(fs::exists(place / "out/model"));
    // Nothing takes space that is needed.
    CHECK(named(place, "out", "").empty());
  }
  const ProcessResult again =
      run(place, command(place, "out", {"--set", "train.epochs=2", "--resume"}));
  INFO(again.err);
  CHECK(again.code == 0);
  CHECK(checkpoints_of(place, "out").size() == 2);
  CHECK(run(place, {"verify", place / "out/model"}).code == 0);
}

TEST_CASE("a file system that fills up and gets room again costs a run nothing but the saves") {
  const Workplace place, inspect;
  make_model_and_data(place);
  write_config(place, kLomo,
               R"(, "eval": {"before": false, "at_end": false}, "save": {"every_steps": 50})");
  const SmallDisk disk(place / "small", "1m");
  if (!disk.mounted()) LOMO_SKIP("this process may not mount a file system");
  const Process process(
      place, command(place, "small/out", at_constant_rate({"--set", "train.epochs=20000"})));
  wait_until(process, [&] { return !checkpoints_of(place, "small/out").empty(); });
  disk.fill("ballast");
  const std::size_t before = failed_saves(place);
  wait_until(process, [&] { return failed_saves(place) >= before + 3; });  // it trains on
  CHECK(named(place, "small/out", ".").empty());
  const std::vector<std::string> during = checkpoints_of(place, "small/out");
  CHECK_FALSE(during.empty());
  check_all_whole(inspect, place, "small/out");

  fs::remove(place / "small/ballast");
  wait_until(process, [&] {
    const std::vector<std::string> now = checkpoints_of(place, "small/out");
    return !now.empty() && now.back() != during.back() && now.front() != during.back();
  });
  process.send(SIGTERM);
  const ProcessResult stopped = process.wait();
  INFO(stopped.err);
  REQUIRE(stopped.code == 7);
  CHECK(contains(stopped.err, "No space left on device"));
  check_all_whole(inspect, place, "small/out");

  // The same weights as those of a run on a disk with room.
  const fs::path checkpoint =
      stopped.err.substr(stopped.err.find("--resume ") + 9,
                         stopped.err.rfind('\n') - stopped.err.find("--resume ") - 9);
  const std::string steps = checkpoint.filename().string().substr(5);
  const ProcessResult whole = run(
      place, command(place, "whole",
                     at_constant_rate({"--set", "train.epochs=20000", "--set", "save.every_steps=0",
                                       "--set", "train.max_steps=" + steps})));
  INFO(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(weights(place / "whole/model") == weights(checkpoint));
}

TEST_CASE("a folder that cannot be written is found out at start") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 8})");
  // Not even root can make folders in /proc.
  const ProcessResult result =
      run(place, {"--config", place / "run.json", "--output", "/proc/lomo-train-run"});
  INFO(result.err);
  CHECK(result.code == 2);
  CHECK(contains(result.err, "--output"));

  const SmallDisk disk(place / "small", "16m");
  if (!disk.mounted()) LOMO_SKIP("this process may not mount a file system");
  REQUIRE(run(place, command(place, "small/out", {"--set", "save.final_model=none"})).code == 0);
  REQUIRE(disk.make_read_only());
  for (std::vector<std::string> const& arguments :
       {command(place, "small/new", {}),
        std::vector<std::string>{"--resume", place / "small/out", "--set", "train.epochs=9"}}) {
    const ProcessResult refused = run(place, arguments);
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK(contains(refused.err, "--output"));
    CHECK(contains(refused.err, "Read-only file system"));
  }
}

TEST_CASE("a run without room on the disk is refused at start, unless told otherwise") {
  const Workplace place;
  make_model_and_data(place);
  // More checkpoints than any disk holds.
  write_config(place, kLomo, R"(, "eval": {"before": false},
      "save": {"every_minutes": 60, "keep_last": 1000000000})");
  const ProcessResult refused = run(place, command(place, "out", {}));
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "--ignore-disk-space"));
  const ProcessResult forced = run(place, command(place, "out", {"--ignore-disk-space"}));
  INFO(forced.err);
  CHECK(forced.code == 0);
}

TEST_CASE("a disk without room is found before data are read, and weights are read last of all") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false})");
  const std::string data = slurp(place / "ids.jsonl");
  fs::remove(place / "ids.jsonl");
  {  // Values that no model has, behind headers that are right.
    std::fstream weights(place / "model/model.safetensors",
                         std::ios::binary | std::ios::in | std::ios::out);
    weights.seekp(-400, std::ios::end);
    weights << std::string(400, '\xff');
  }
  const SmallDisk tiny(place / "tiny", "64k"), small(place / "small", "4m");
  if (!tiny.mounted() || !small.mounted()) {
    LOMO_SKIP("this process may not mount a file system");
  }
  const ProcessResult first = run(place, command(place, "tiny/out", {}));
  INFO(first.err);
  CHECK(first.code == 2);
  CHECK(contains(first.err, "has 64.0 KiB free, the run needs at least 1.0 MiB at once: "));
  CHECK(contains(first.err, "the final model of "));
  CHECK_FALSE(contains(first.err, "ids.jsonl"));
  CHECK_FALSE(fs::exists(place / "tiny/out"));
  const ProcessResult data_next = run(place, command(place, "tiny/out", {"--ignore-disk-space"}));
  INFO(data_next.err);
  CHECK(data_next.code == 4);
  CHECK(contains(data_next.err, "ids.jsonl"));

  // Only the number of steps, which the data decide, says that this is too little.
  std::ofstream(place / "ids.jsonl") << data;
  const std::vector<std::string> long_run{"--set", "train.epochs=20000"};
  const ProcessResult second = run(place, command(place, "small/out", long_run));
  INFO(second.err);
  CHECK(second.code == 2);
  CHECK(contains(second.err, "has 4.0 MiB free, the run needs "));
  CHECK(contains(second.err, "metrics, log and predictions of "));
  CHECK_FALSE(contains(second.err, "at least"));
  CHECK_FALSE(contains(second.err, "model.safetensors"));
  auto forced = long_run;
  forced.push_back("--ignore-disk-space");
  const ProcessResult weights_last = run(place, command(place, "small/out", forced));
  INFO(weights_last.err);
  CHECK(weights_last.code == 4);
  CHECK(contains(weights_last.err, "model.safetensors"));
}

TEST_CASE("files that change or vanish under a run do not reach what it saves") {
  const Workplace place;
  make_model_and_data(place);
  const std::string auxiliary_file = "{\"temperature\": 0.7}\n";
  std::ofstream(place / "model/generation_config.json") << auxiliary_file;
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 4})");
  const Process process(place, command(place, "out", {"--set", "train.epochs=20000"}));
  wait_for_steps(process, place, "out", 2);
  const std::string data = slurp(place / "ids.jsonl");
  std::ofstream(place / "ids.jsonl") << "{";
  std::ofstream(place / "model/generation_config.json") << "{";
  fs::resize_file(place / "model/model.safetensors", 100);
  fs::remove(place / "model/config.json");
  wait_for_steps(process, place, "out", steps_of(place, "out") + 20);
  process.send(SIGTERM);
  const ProcessResult stopped = process.wait();
  INFO(stopped.err);
  REQUIRE(stopped.code == 7);
  const ProcessResult refused = run(place, {"--resume", place / "out"});
  INFO(refused.err);
  CHECK(refused.code == 4);
  CHECK(contains(refused.err, "ids.jsonl"));

  // The checkpoint it resumes from is discarded on the way, and its companions with it.
  std::ofstream(place / "ids.jsonl") << data;
  const std::size_t done = steps_of(place, "out");
  const ProcessResult resumed = run(
      place, {"--resume", place / "out", "--set", "train.max_steps=" + std::to_string(done + 20)});
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(slurp(place / "out/model/generation_config.json") == auxiliary_file);
  for (std::string const& name : checkpoints_of(place, "out")) {
    CHECK(slurp(place / ("out/checkpoints/" + name + "/generation_config.json")) == auxiliary_file);
  }
  CHECK(run(place, {"verify", place / "out/model"}).code == 0);
}
