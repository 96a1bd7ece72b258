#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "launch.h"
#include "support/catch.h"
#include "support/disks.h"
#include "support/environment.h"

using namespace lomo::test;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr char const* kNoEvaluation = R"(, "eval": {"before": false, "at_end": false})";
constexpr seconds kEnds{30};  // a job that lost a rank
constexpr int kSlowMicroseconds = 2000;
constexpr int kSaveOperations = 60;  // about so many in a save of this model

/// scripts/mpirun.sh starts this program, with more options for mpirun.
Environment for_script(std::string const& options = "") {
  return Environment({{"LOMO_TRAIN", LOMO_TRAIN_PROGRAM}, {"MPIRUN_OPTIONS", options}});
}

/// mpirun starts ranks for whose every write, flush and rename it takes a tenth of a second more.
std::string on_slow_disk() {
  std::string options;
  for (auto const& [name, value] : slow_disk(100000)) options += " -x " + name + "=" + value;
  return options;
}

Process by_script(Workplace const& place, Arguments const& arguments) {
  return Process(place, LOMO_MPIRUN_SCRIPT, arguments);
}

}  // namespace

TEST_CASE(
    "ranks killed at any moment lose nothing: the run ends with the bits of one that was not") {
  const Workplace place, inspect;
  make_model_and_data(place);
  write_config(place, R"({"name": "adalomo", "lr": 0.01})",
               R"(, "eval": {"before": false, "at_end": false},
                  "save": {"every_steps": 1, "keep_last": 2, "shard_size": "4KiB"})");
  const int kills = kills_wanted("LOMO_TEST_RANK_KILLS", 4);
  const std::string epochs = "train.epochs=" + std::to_string(3 + kills);
  REQUIRE(
      launch(place, 2, command(place, "whole", {"--set", epochs, "--set", "save.every_steps=0"}))
          .code == 0);
  std::mt19937_64 random(11);
  int killed = 0, in_a_save = 0, starts = 0;
  ProcessResult last;
  while (last.code != 0) {
    REQUIRE(++starts < 4 * kills + 8);
    const std::size_t before = steps_of(place, "cut");
    const bool in_save = killed < kills && killed % 2 == 1;
    std::optional<SlowDisk> slow;
    if (in_save) slow.emplace(kSlowMicroseconds);
    const Process job = start(
        place, std::vector<Arguments>(2, command(place, "cut", {"--resume", "--set", epochs})));
    std::vector<pid_t> ranks;
    if (killed < kills) {
      wait_for_steps(job, place, "cut", before + 1 + random() % 3);
      if (in_save) wait_until(job, [&] { return saving(place, "cut"); });
      const int within = in_save ? kSaveOperations * kSlowMicroseconds : 30000;
      std::this_thread::sleep_for(microseconds(random() % within));
      ranks = children_of(job.id());
      const auto when = Clock::now();
      if (ranks.size() == 2) kill(ranks[random() % 2], SIGKILL);
      last = job.wait();
      CHECK(Clock::now() - when < kEnds);
    } else {
      last = job.wait();
    }
    slow.reset();
    INFO(last.err);
    CHECK((last.code == 137 || last.code == 0));
    CHECK_FALSE(contains(last.err, "damaged"));
    CHECK(gone(ranks));
    check_all_whole(inspect, place, "cut");
    killed += last.code == 137 ? 1 : 0;
    in_a_save += last.code == 137 && saving(place, "cut") ? 1 : 0;
  }
  std::printf("%d kills of a rank, %d of them inside a save, %d starts\n", killed, in_a_save,
              starts);
  CHECK(killed >= kills);
  CHECK(in_a_save > 0);
  for (auto const& entry : fs::directory_iterator(place / "whole/model")) {
    INFO(entry.path());
    CHECK(slurp(entry.path()) == slurp(fs::path(place / "cut/model") / entry.path().filename()));
  }
}

TEST_CASE("a rank that hangs is named by the others, and ends the job with 6") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, kNoEvaluation);
  for (const std::size_t stopped : {std::size_t{1}, std::size_t{0}}) {
    const std::string name = "out" + std::to_string(stopped);
    const Arguments arguments =
        command(place, name, {"--set", "train.epochs=100000", "--rank-timeout", "4"});
    const Process job = start(place, std::vector<Arguments>(3, arguments));
    wait_for_steps(job, place, name, 3);
    const std::vector<pid_t> ranks = children_of(job.id());
    REQUIRE(ranks.size() == 3);
    kill(ranks[stopped], SIGSTOP);
    const auto when = Clock::now();
    const ProcessResult result = job.wait();
    INFO(result.err);
    CHECK(Clock::now() - when < kEnds);
    CHECK(result.code == 6);
    CHECK(contains(result.err, "no answer from rank " + std::to_string(stopped) + " within 4 s"));
    CHECK(count_lines(result.err, "error: ") == 1);
    CHECK(gone(ranks));
  }
}

TEST_CASE("a job that is suspended for longer than ranks wait for each other goes on") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, kNoEvaluation);
  const Arguments arguments =
      command(place, "out", {"--set", "train.epochs=100000", "--rank-timeout", "6"});
  const Process job = start(place, std::vector<Arguments>(2, arguments));
  wait_for_steps(job, place, "out", 3);
  const std::vector<pid_t> ranks = children_of(job.id());
  REQUIRE(ranks.size() == 2);
  for (const pid_t rank : ranks) kill(rank, SIGSTOP);
  std::this_thread::sleep_for(seconds(9));
  const std::size_t before = steps_of(place, "out");
  for (const pid_t rank : ranks) kill(rank, SIGCONT);
  wait_for_steps(job, place, "out", before + 10);
  job.send(SIGUSR1);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 7);
}

TEST_CASE("when mpirun itself is killed no rank is left") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, kNoEvaluation);
  const Process job = start(
      place, std::vector<Arguments>(2, command(place, "out", {"--set", "train.epochs=100000"})));
  wait_for_steps(job, place, "out", 3);
  const std::vector<pid_t> ranks = children_of(job.id());
  REQUIRE(ranks.size() == 2);
  job.send(SIGKILL);
  job.wait();
  CHECK(gone(ranks));
}

TEST_CASE("every way to ask scripts/mpirun.sh for the end saves, however slow the disk") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, kNoEvaluation);
  const Environment environment = for_script(on_slow_disk());
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    const std::string name = "out" + std::to_string(signal);
    const Process job = by_script(
        place, {"2", place / "run.json", "--output", place / name, "--set", "train.epochs=100000"});
    wait_for_steps(job, place, name, 3);
    const auto when = Clock::now();
    job.send(signal);
    const ProcessResult result = job.wait();
    INFO(signal << " " << result.err);
    CHECK(result.code == 7);
    CHECK(Clock::now() - when > seconds(2));  // mpirun would have killed them by then
    CHECK_FALSE(contains(result.err, "kill -USR1"));
    CHECK(contains(result.err, "Go on with: "));
    fs::path saved;
    for (auto const& entry : fs::directory_iterator(place / (name + "/checkpoints")))
      saved = entry.path();
    CHECK(run(place, {"verify", saved.string()}).code == 0);
  }
}

TEST_CASE("mpirun alone cuts a slow save short, and the run says at start how to stop it instead") {
  const Workplace place, inspect;
  make_model_and_data(place);
  write_config(place, kLomo, kNoEvaluation);
  const SlowDisk slow(100000);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = "out" + std::to_string(signal);
    const Process job = start(
        place, std::vector<Arguments>(2, command(place, name, {"--set", "train.epochs=100000"})));
    wait_for_steps(job, place, name, 3);
    job.send(signal);
    const ProcessResult result = job.wait();
    INFO(signal << " " << result.err);
    CHECK(result.code != 7);
    CHECK(contains(result.err, "To save and stop: kill -USR1 " + std::to_string(job.id()) + "."));
    check_all_whole(inspect, place, name);  // none, or whole where it was fast enough
  }
  const Process job = start(
      place, std::vector<Arguments>(2, command(place, "out", {"--set", "train.epochs=100000"})));
  wait_for_steps(job, place, "out", 3);
  job.send(SIGUSR1);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 7);
  CHECK(checkpoints_of(place, "out").size() == 1);
  check_all_whole(inspect, place, "out");
}

TEST_CASE("a second Ctrl-C ends all ranks at once with 130") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 2})");
  const Environment environment = for_script(on_slow_disk());
  const Process job = by_script(place, {"2", place / "run.json", "--output", place / "out", "--set",
                                        "train.epochs=100000", "--set", "save.every_steps=0"});
  wait_for_steps(job, place, "out", 3);
  job.send(SIGINT);
  std::this_thread::sleep_for(milliseconds(500));
  job.send(SIGINT);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 130);
}

TEST_CASE("after a kill scripts/mpirun.sh ends with 137 and names the last checkpoint") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 2})");
  const Environment environment = for_script();
  const Process job = by_script(
      place, {"2", place / "run.json", "--output", place / "out", "--set", "train.epochs=100000"});
  wait_for_steps(job, place, "out", 6);
  const std::vector<pid_t> mpirun = children_of(job.id());  // the script's first child
  REQUIRE_FALSE(mpirun.empty());
  const std::vector<pid_t> ranks = children_of(mpirun.front());
  REQUIRE(ranks.size() == 2);
  kill(ranks[1], SIGKILL);
  const ProcessResult result = job.wait();
  INFO(result.err);
  CHECK(result.code == 137);
  CHECK(contains(result.err, "the last whole checkpoint is " + (place / "out/checkpoints/step-")));
  CHECK(contains(result.err, "--resume " + (place / "out")));
  CHECK(gone(ranks));
}
