// Ranks on several machines: two inside this one.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "machines.h"
#include "support/catch.h"
#include "support/trace.h"

namespace lomo::test {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kAtMost = std::chrono::seconds(30);  // until a job has ended that lost a part

constexpr char const* kQuiet = R"(, "eval": {"before": false})";

void make_run(Workplace const& place, std::string const& extra = "") {
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})", extra);
}

/// One that goes on until it is stopped, and saves every ten steps.
Arguments long_run(Workplace const& place) {
  return {"--output", place / "out",        "--set", "train.epochs=100000",
          "--set",    "save.every_steps=10"};
}

}  // namespace

TEST_CASE("ranks on two machines train the model of those on one, bit for bit") {
  const Workplace place;
  const Machines machines(place);
  LOMO_NEEDS_MACHINES(machines);
  make_run(place);
  REQUIRE(launch(place, 4, command(place, "one", {"--threads", "1"})).code == 0);
  const ProcessResult result =
      machines.start({"--output", place / "two", "--trace", place / "trace.json"}).wait();
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(weights(place / "one/model") == weights(place / "two/model"));
  CHECK(losses_of(place, "one") == losses_of(place, "two"));
  for (char const* host : {"left", "right"}) CHECK(machines.ranks_on(host).empty());

  // Clocks of machines are set by each other: a step begins everywhere within another.
  const auto trace = read_trace(place / "trace.json");
  REQUIRE(trace.size() == 4);
  for (auto const& [rank, recorded] : trace) {
    REQUIRE(recorded.steps.size() == trace.at(0).steps.size());
    for (std::size_t k = 0; k < recorded.steps.size(); ++k) {
      INFO("rank " << rank << ", " << recorded.steps[k].name);
      CHECK(recorded.steps[k].begin < trace.at(0).steps[k].end);
      CHECK(recorded.steps[k].end > trace.at(0).steps[k].begin);
    }
  }
}

TEST_CASE("a Ctrl-C saves on all machines, and one resumes from there") {
  const Workplace place;
  const Machines machines(place);
  LOMO_NEEDS_MACHINES(machines);
  make_run(place, kQuiet);
  const Arguments epochs{"--threads", "1", "--set", "train.epochs=100"};
  REQUIRE(launch(place, 4, command(place, "whole", epochs)).code == 0);
  const Process job = machines.start({"--output", place / "out", "--set", "train.epochs=100"});
  wait_for_steps(job, place, "out", 3);
  job.send(SIGINT);
  const ProcessResult stopped = job.wait();
  INFO(stopped.err);
  REQUIRE(stopped.code == 7);
  const ProcessResult resumed = launch(place, 4, {"--resume", place / "out", "--threads", "1"});
  INFO(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(weights(place / "out/model") == weights(place / "whole/model"));
}

TEST_CASE("a rank that is killed on another machine ends the job everywhere") {
  const Workplace place, inspect;
  const Machines machines(place);
  LOMO_NEEDS_MACHINES(machines);
  make_run(place, kQuiet);
  const Process job = machines.start(long_run(place));
  wait_for_steps(job, place, "out", 15);
  const std::vector<pid_t> left = machines.ranks_on("left"), right = machines.ranks_on("right");
  REQUIRE(left.size() == 2);
  REQUIRE(right.size() == 2);
  const auto when = Clock::now();
  kill(right.front(), SIGKILL);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 137);
  CHECK(Clock::now() - when < kAtMost);
  CHECK(contains(result.err, "the last whole checkpoint is "));
  CHECK(gone(left));
  CHECK(gone(right));
  check_all_whole(inspect, place, "out");
}

TEST_CASE("a machine that is cut off is named, and the job ends on both") {
  const Workplace place, inspect;
  const Machines machines(place);
  LOMO_NEEDS_MACHINES(machines);
  make_run(place, kQuiet);
  Arguments arguments = long_run(place);
  arguments.insert(arguments.end(), {"--rank-timeout", "8"});
  const Process job = machines.start(arguments);
  wait_for_steps(job, place, "out", 15);
  const std::vector<pid_t> left = machines.ranks_on("left"), right = machines.ranks_on("right");
  const auto when = Clock::now();
  machines.cut();
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 6);
  CHECK(Clock::now() - when < kAtMost);
  CHECK(contains(result.err, " on right"));
  CHECK(contains(result.err, "another machine does not answer"));
  CHECK(contains(result.err, "the last whole checkpoint is "));
  CHECK(gone(left));
  CHECK(gone(right));
  check_all_whole(inspect, place, "out");
}

TEST_CASE("machines that cannot be reached end the start with a sentence") {
  const Workplace place;
  const Machines machines(place);
  LOMO_NEEDS_MACHINES(machines);
  make_run(place);
  SECTION("there is none of that name") {
    machines.name("left slots=2\nmiddle slots=2\n");
    const ProcessResult result = machines.start({"--output", place / "out"}).wait();
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(contains(result.err, "4 ranks cannot be started on the machines of "));
  }
  SECTION("there is no such list") {
    std::filesystem::remove(place / "hostfile");
    const ProcessResult result = machines.start({"--output", place / "out"}).wait();
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(contains(result.err, "hostfile cannot be read"));
  }
  CHECK_FALSE(std::filesystem::exists(place / "out"));
}

TEST_CASE("a run folder that another machine does not see is refused at start") {
  const Workplace place;
  const Machines machines(place);
  LOMO_NEEDS_MACHINES(machines);
  make_run(place);
  std::filesystem::create_directory(place / "runs");
  REQUIRE(machines.on("right", "mount -t tmpfs none " + (place / "runs")) == 0);
  const ProcessResult result = machines.start({"--output", place / "runs/out"}).wait();
  INFO(result.err);
  CHECK(result.code == 2);
  CHECK(count_lines(result.err, "rank 2, rank 3 cannot see " + (place / "runs/out")) == 1);
}

}  // namespace lomo::test
