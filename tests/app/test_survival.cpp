#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "program.h"
#include "support/catch.h"

using namespace lomo::test;
namespace fs = std::filesystem;
using std::chrono::milliseconds;

namespace {

constexpr char const* kLomo = R"({"name": "lomo", "lr": 0.05})";

/// LOMO_TEST_KILLS=100: the long run.
int wanted_kills() {
  char const* wanted = std::getenv("LOMO_TEST_KILLS");
  return wanted == nullptr ? 10 : std::atoi(wanted);
}

std::size_t steps_of(Workplace const& place, std::string const& run) {
  return count_lines(slurp(place / (run + "/metrics.jsonl")), "\"event\":\"step\"");
}

void wait_for_steps(Workplace const& place, std::string const& run, std::size_t steps) {
  while (steps_of(place, run) < steps) std::this_thread::sleep_for(milliseconds(2));
}

std::vector<std::string> command(Workplace const& place, std::string const& output,
                                 std::vector<std::string> const& more) {
  std::vector<std::string> all{"--config", place / "run.json", "--threads",
                               "1",        "--output",         place / output};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

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

std::size_t checkpoints_of(Workplace const& place, std::string const& run) {
  std::size_t count = 0;
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(place / (run + "/checkpoints"), error)) {
    count += entry.path().filename().string().starts_with("step-") ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("a run killed again and again at any moment ends with the bits of one that was not") {
  const Workplace place;
  make_model_and_data(place);
  // A checkpoint after every step: saving is most of the time, so most kills hit a save.
  write_config(place, R"({"name": "adalomo", "lr": 0.01})",
               R"(, "eval": {"before": false, "at_end": false},
                  "save": {"every_steps": 1, "keep_last": 2, "shard_size": "4KiB"})");
  const int kills = wanted_kills();
  const std::string epochs = "train.epochs=" + std::to_string(3 + kills);
  const Outcome whole =
      run(place, command(place, "whole", {"--set", epochs, "--set", "save.every_steps=0"}));
  INFO(whole.err);
  REQUIRE(whole.code == 0);

  std::mt19937_64 random(5);
  int killed = 0, in_a_save = 0, starts = 0;
  Outcome last;
  while (last.code != 0) {
    REQUIRE(++starts < 20 * kills + 20);
    const std::size_t before = steps_of(place, "cut");
    const Process process(place, command(place, "cut", {"--resume", "--set", epochs}));
    if (killed < kills) {
      // It must get on at all: at least three steps, then a moment at random, some of them earlier.
      const std::size_t wanted = killed % 4 == 3 ? 0 : before + 3;
      while (wanted > 0 && steps_of(place, "cut") < wanted && !process.ended()) {
        std::this_thread::sleep_for(milliseconds(1));
      }
      const std::uint64_t range =
          wanted > 0 ? 30000 : 500000;  // from the start: before the first step too
      std::this_thread::sleep_for(std::chrono::microseconds(random() % range));
      process.send(SIGKILL);
    }
    last = process.wait();
    if (last.code == -1) {
      ++killed;
      for (auto const& entry : fs::directory_iterator(place / "cut/checkpoints")) {
        in_a_save += entry.path().filename().string().starts_with(".partial-") ? 1 : 0;
      }
    } else {
      INFO(last.err);
      REQUIRE(last.code == 0);
    }
    CHECK_FALSE(contains(last.err, "damaged"));
  }
  INFO(killed << " kills, " << in_a_save << " inside a save, " << starts << " starts");
  CHECK(killed >= kills);
  CHECK(in_a_save > 0);
  for (auto const& entry : fs::directory_iterator(place / "whole/model")) {
    INFO(entry.path());
    CHECK(slurp(entry.path()) == slurp(fs::path(place / "cut/model") / entry.path().filename()));
  }
  CHECK(checkpoints_of(place, "cut") == 2);
  // The same command once more: nothing is left to do.
  CHECK(run(place, command(place, "cut", {"--resume", "--set", epochs})).code == 0);
  CHECK(run(place, command(place, "cut", {"--resume", "--no-resume"})).code == 2);
}

TEST_CASE("every signal that asks for the end saves, and ends with 7") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false})");
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGHUP}) {
    const std::string name = "run" + std::to_string(signal);
    const Process process(place, command(place, name, {"--set", "train.epochs=100000"}));
    wait_for_steps(place, name, 3);
    process.send(signal);
    // What launchers and job queues send next must not cut the save short.
    if (signal != SIGINT) process.send(SIGTERM);
    process.send(SIGUSR1);
    const Outcome outcome = process.wait();
    INFO(signal << " " << outcome.err);
    CHECK(outcome.code == 7);
    CHECK(checkpoints_of(place, name) == 1);
  }
}

TEST_CASE("a second Ctrl-C ends at once with 130, and the run can still be continued") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 1})");
  const Process process(place, command(place, "out", {"--set", "train.epochs=100000"}));
  wait_for_steps(place, "out", 5);
  process.send(SIGSTOP);  // so that both arrive while it can do nothing between them
  process.send(SIGINT);
  process.send(SIGCONT);
  process.send(SIGINT);
  const int code = process.wait().code;
  CHECK((code == 130 || code == 7));  // 7: it was between two steps and saved in between
  CHECK(run(place, {"verify", place / "out/model"}).code == 4);
  const Outcome resumed = run(place, {"--resume", place / "out", "--set", "train.max_steps=1"});
  INFO(resumed.err);
  CHECK(resumed.code == 0);
}

TEST_CASE("a disk that is full while saving does not end the run, and the next try works") {
  const Workplace place;
  make_model_and_data(place);
  // Large enough that the weights do not fit under the limit while logs and metrics do.
  write_config(place, kLomo,
               R"(, "eval": {"before": false, "at_end": false}, "save": {"every_steps": 2})");
  const std::vector<std::string> arguments = command(place, "out", {"--set", "train.epochs=2"});
  {
    const FileSizeLimit limit(12 << 10);
    const Outcome outcome = run(place, arguments);
    INFO(outcome.err);
    CHECK(outcome.code == 1);  // the final model cannot be written either
    CHECK(contains(outcome.err, "could not be written"));
    CHECK(contains(outcome.err, "training goes on"));
    CHECK(steps_of(place, "out") == 16);
    CHECK(checkpoints_of(place, "out") == 0);
    CHECK_FALSE(fs::exists(place / "out/model"));
    for (auto const& entry : fs::directory_iterator(place / "out/checkpoints")) {
      FAIL_CHECK(entry.path() << " takes space that is needed");
    }
  }
  const Outcome again = run(place, command(place, "out", {"--set", "train.epochs=2", "--resume"}));
  INFO(again.err);
  CHECK(again.code == 0);
  CHECK(checkpoints_of(place, "out") == 2);
  CHECK(run(place, {"verify", place / "out/model"}).code == 0);
}

TEST_CASE("two runs cannot train in one folder") {
  const Workplace place, other;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false}, "save": {"every_steps": 5})");
  const Process process(place, command(place, "out", {"--set", "train.epochs=100000"}));
  wait_for_steps(place, "out", 6);
  const Outcome second = run(other, {"--resume", place / "out"});
  INFO(second.err);
  CHECK(second.code == 2);
  CHECK(contains(second.err, "another process"));
  process.send(SIGKILL);
  process.wait();
  // The lock of a process that was killed is free.
  const Outcome third = run(other, {"--resume", place / "out", "--set", "train.max_steps=6"});
  INFO(third.err);
  CHECK(third.code == 0);
}

TEST_CASE("what cannot change in the middle of a run is refused with a list, the rest is taken") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo,
               R"(, "eval": {"before": false}, "save": {"every_steps": 8, "final_model": false})");
  const Outcome first = run(place, command(place, "out", {}));
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK(checkpoints_of(place, "out") == 2);  // of steps 16 and 24

  const Outcome refused = run(place, {"--resume", place / "out", "--set", "train.seed=8", "--set",
                                      "optimizer.lr=0.01", "--set", "batch.sequences=2"});
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "train.seed: 7 -> 8"));
  CHECK(contains(refused.err, "batch.sequences: 4 -> 2"));

  const Outcome taken = run(place, {"--resume", place / "out", "--set", "optimizer.lr=0.01",
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
  const Outcome other = run(place, {"--resume", place / "out", "--set", "train.epochs=4"});
  CHECK(other.code == 4);
  CHECK(contains(other.err, "training data changed"));

  std::ofstream(place / "ids.jsonl") << data.substr(0, data.size() / 2);
  CHECK(run(place, {"--resume", place / "out", "--set", "train.epochs=4"}).code == 4);
}

TEST_CASE("a run without room on the disk is refused at start, unless told otherwise") {
  const Workplace place;
  make_model_and_data(place);
  // More checkpoints than any disk holds.
  write_config(place, kLomo, R"(, "eval": {"before": false},
      "save": {"every_minutes": 60, "keep_last": 1000000000})");
  const Outcome refused = run(place, command(place, "out", {}));
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "--ignore-disk-space"));
  const Outcome forced = run(place, command(place, "out", {"--ignore-disk-space"}));
  INFO(forced.err);
  CHECK(forced.code == 0);
}

TEST_CASE("a folder that cannot be written is found out at start") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  // Not even root can make folders in /proc.
  const Outcome outcome =
      run(place, {"--config", place / "run.json", "--output", "/proc/lomo-train-run"});
  INFO(outcome.err);
  CHECK(outcome.code == 2);
  CHECK(contains(outcome.err, "--output"));
}

TEST_CASE("verify tells a good folder from a bad one by its exit code") {
  const Workplace place;
  make_model_and_data(place);
  const Outcome good = run(place, {"verify", place / "model"});
  CHECK(good.code == 0);
  CHECK(contains(good.out, "hash"));
  std::string bytes = slurp(place / "model/model.safetensors");
  std::ofstream(place / "model/model.safetensors", std::ios::binary)
      << bytes.substr(0, bytes.size() - 1);
  const Outcome cut = run(place, {"verify", place / "model"});
  CHECK(cut.code == 4);
  CHECK(contains(cut.out, "cut short"));
  CHECK(run(place, {"verify", place / "nothing"}).code == 4);
  CHECK(run(place, {"verify"}).code == 2);
}
