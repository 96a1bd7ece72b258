#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <random>
#include <string>

#include "training.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

/// When a process is killed.
enum class Moment { after_some_steps, from_the_start, inside_a_slow_save };

Moment moment_of(int kill) {
  if (kill % 4 == 1) return Moment::from_the_start;
  return kill % 2 == 0 ? Moment::after_some_steps : Moment::inside_a_slow_save;
}

constexpr int kSlowMicroseconds = 2000;  // a save of this model is about 60 operations

}  // namespace

TEST_CASE("a run killed again and again at any moment ends with the bits of one that was not") {
  const Workplace place, inspect;
  make_model_and_data(place);
  // A checkpoint after every step: saving is most of the time, so most kills hit a save.
  write_config(place, R"({"name": "adalomo", "lr": 0.01})",
               R"(, "eval": {"before": false, "at_end": false},
                  "save": {"every_steps": 1, "keep_last": 2, "shard_size": "4KiB"})");
  const int kills = kills_wanted("LOMO_TEST_KILLS", 10);
  const std::string epochs = "train.epochs=" + std::to_string(3 + kills);
  const ProcessResult whole =
      run(place, command(place, "whole", {"--set", epochs, "--set", "save.every_steps=0"}));
  INFO(whole.err);
  REQUIRE(whole.code == 0);

  std::mt19937_64 random(5);
  int killed = 0, in_a_save = 0, starts = 0;
  ProcessResult last;
  while (last.code != 0) {
    REQUIRE(++starts < 20 * kills + 20);
    const std::size_t before = steps_of(place, "cut");
    const bool to_be_killed = killed < kills;
    const Moment moment = moment_of(killed);
    std::optional<SlowDisk> slow;
    if (to_be_killed && moment == Moment::inside_a_slow_save) slow.emplace(kSlowMicroseconds);
    const Process process(place, command(place, "cut", {"--resume", "--set", epochs}));
    if (to_be_killed) {
      std::uint64_t within = 30000;              // microseconds
      if (moment == Moment::after_some_steps) {  // it must get on at all
        wait_for_steps(process, place, "cut", before + 3);
      } else if (moment == Moment::inside_a_slow_save) {
        wait_for_steps(process, place, "cut", before + 1);
        wait_until(process, [&] { return saving(place, "cut"); });
        within = 60 * kSlowMicroseconds;
      } else {
        within = 500000;  // before the first step too
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % within));
      process.send(SIGKILL);
    }
    last = process.wait();
    slow.reset();
    if (last.code == -1) {
      ++killed;
      in_a_save += saving(place, "cut") ? 1 : 0;
      check_all_whole(inspect, place, "cut");
    } else {
      INFO(last.err);
      REQUIRE(last.code == 0);
    }
    CHECK_FALSE(contains(last.err, "damaged"));
  }
  std::printf("%d kills, %d of them inside a save, %d starts\n", killed, in_a_save, starts);
  CHECK(killed >= kills);
  CHECK(in_a_save > 0);
  for (auto const& entry : fs::directory_iterator(place / "whole/model")) {
    INFO(entry.path());
    CHECK(slurp(entry.path()) == slurp(fs::path(place / "cut/model") / entry.path().filename()));
  }
  CHECK(checkpoints_of(place, "cut").size() == 2);
  // The same command once more: nothing is left to do.
  CHECK(run(place, command(place, "cut", {"--resume", "--set", epochs})).code == 0);
  CHECK(run(place, command(place, "cut", {"--resume", "--no-resume"})).code == 2);
}
