#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "launch.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/disks.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

/// A run of the same length at a constant rate has the same weights after each step, however long
/// it was meant to be.
std::vector<Arguments> two_ranks(Workplace const& place, std::string const& output,
                                 std::string const& epochs) {
  return {2, command(place, output,
                     {"--ignore-disk-space", "--set", "schedule.kind=constant", "--set",
                      "schedule.warmup=0", "--set", "train.epochs=" + epochs})};
}

/// No file of this process may grow above so many bytes: a full disk for it alone.
void limit_files(pid_t process, rlim_t bytes) {
  rlimit limit{};
  REQUIRE(prlimit(process, RLIMIT_FSIZE, nullptr, &limit) == 0);
  limit.rlim_cur = bytes;
  REQUIRE(prlimit(process, RLIMIT_FSIZE, &limit, nullptr) == 0);
}

constexpr char const* kFailed = "could not be written: ";

std::size_t failed_saves(Workplace const& place) {
  return count_lines(slurp(place / "stderr"), kFailed);
}

int newest_step(Workplace const& place, std::string const& run) {
  int newest = 0;
  for (std::string const& name : checkpoints_of(place, run)) {
    newest = std::max(newest, std::stoi(name.substr(5)));
  }
  return newest;
}

/// From a whole checkpoint on, saves fail from `fill()` until `make_room()`. The run takes no
/// notice but for one message a save, and ends with the weights of a run with room.
template <class Fill, class MakeRoom>
void check_full_disk(Workplace const& place, std::string const& run, std::string const& reason,
                     Fill const& fill, MakeRoom const& make_room) {
  const Workplace inspect;
  const Process job = start(place, two_ranks(place, run, "20000"));
  wait_until(job, [&] { return !checkpoints_of(place, run).empty(); });
  fill(children_of(job.id()));
  // One save may have been under way.
  const std::size_t before = failed_saves(place);
  wait_until(job, [&] { return failed_saves(place) >= before + 3; });
  CHECK_FALSE(checkpoints_of(place, run).empty());
  check_all_whole(inspect, place, run);
  const int during = newest_step(place, run);
  make_room(children_of(job.id()));
  wait_until(job, [&] { return newest_step(place, run) > during; });
  job.send(SIGUSR1);
  const ProcessResult stopped = job.wait();
  INFO(stopped.err);
  REQUIRE(stopped.code == 7);
  CHECK(contains(stopped.err, reason));
  CHECK(contains(stopped.err, "training goes on"));
  // Each failed save is told by rank 0 alone.
  CHECK(count_lines(stopped.err, "E the checkpoint of step ") == count_lines(stopped.err, kFailed));
  CHECK(count_lines(stopped.err, "stopped after") == 1);
  CHECK(named(place, run, ".").empty());
  check_all_whole(inspect, place, run);

  const int steps = newest_step(place, run);
  auto same = two_ranks(inspect, "out", std::to_string(steps / 8 + 1));
  for (Arguments& arguments : same) {
    arguments[1] = place / "run.json";
    arguments.insert(arguments.end(), {"--set", "train.max_steps=" + std::to_string(steps), "--set",
                                       "save.every_steps=0", "--set", "save.final_model=last"});
  }
  const ProcessResult whole = launch(inspect, same);
  INFO(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(weights(inspect / "out/model") ==
        weights(place / (run + "/checkpoints/step-" + std::to_string(steps))));
}

constexpr char const* kOften =
    R"(, "eval": {"before": false, "at_end": false}, "save": {"every_steps": 50})";

}  // namespace

TEST_CASE("a disk that is full for one rank alone costs all of them a save, and no more") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, kOften);
  check_full_disk(
      place, "out", "rank 1: cannot write",
      [](std::vector<pid_t> const& ranks) {
        REQUIRE(ranks.size() == 2);
        limit_files(ranks[1], 8 << 10);
      },
      [](std::vector<pid_t> const& ranks) { limit_files(ranks.at(1), RLIM_INFINITY); });
}

TEST_CASE("a file system that fills up under ranks and gets room again costs only the saves") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, kOften);
  const SmallDisk disk(place / "small", "1m");
  if (!disk.mounted()) LOMO_SKIP("this process may not mount a file system");
  check_full_disk(
      place, "small/out", "No space left on device",
      [&](std::vector<pid_t> const&) { disk.fill("ballast"); },
      [&](std::vector<pid_t> const&) { fs::remove(place / "small/ballast"); });
}

TEST_CASE("ranks are refused at start what one process is, once and with its exit code") {
  const Workplace place, other;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 4})");
  const auto refused = [&](Arguments const& arguments, std::string const& why) {
    const ProcessResult result = launch(other, 2, arguments);
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(contains(result.err, why));
    CHECK(count_lines(result.err, "error: ") == 1);
    CHECK_FALSE(contains(result.err, "error: rank"));
  };
  SECTION("two launches in one folder") {
    const Process first = start(place, two_ranks(place, "out", "20000"));
    wait_until(first, [&] { return !checkpoints_of(place, "out").empty(); });
    refused({"--resume", place / "out"}, "another process is training in " + (place / "out"));
    refused(command(place, "out"), "is not empty");
    first.send(SIGUSR1);
    CHECK(first.wait().code == 7);
    const Arguments few{"--resume", place / "out", "--set", "train.max_steps=1"};
    CHECK(launch(other, 2, few).code == 0);  // the lock is free again
  }
  SECTION("no room for what the run will write, unless told otherwise") {
    const Arguments many{"--set", "save.every_minutes=60",    "--set", "save.every_steps=0",
                         "--set", "save.keep_last=1000000000"};
    refused(command(place, "out", many), "--ignore-disk-space");
    Arguments all_the_same = many;
    all_the_same.emplace_back("--ignore-disk-space");
    const ProcessResult forced = launch(place, 2, command(place, "out", all_the_same));
    INFO(forced.err);
    CHECK(forced.code == 0);
  }
  SECTION("a folder that cannot be written") {
    // Not even root can make folders in /proc.
    refused({"--config", place / "run.json", "--output", "/proc/lomo-train-run"}, "--output");
    const SmallDisk disk(place / "small", "8m");  // room enough: that is looked at first
    if (!disk.mounted()) LOMO_SKIP("this process may not mount a file system");
    REQUIRE(launch(place, 2,
                   command(place, "small/out",
                           {"--ignore-disk-space", "--set", "save.final_model=none"}))
                .code == 0);
    REQUIRE(disk.make_read_only());
    refused(command(place, "small/new"), "Read-only file system");
    refused({"--resume", place / "small/out", "--set", "train.epochs=9"}, "Read-only file system");
  }
}
