#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "launch.h"
#include "support/catch.h"

using namespace lomo::test;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// The process that makes an entry of the cache: it has files open there that are not whole yet.
pid_t encoding_one(std::vector<pid_t> const& ranks) {
  for (const pid_t rank : ranks) {
    std::error_code error;
    const fs::path open = fs::path("/proc") / std::to_string(rank) / "fd";
    for (auto const& file : fs::directory_iterator(open, error)) {
      if (fs::read_symlink(file.path(), error).string().find("/.partial-") != std::string::npos) {
        return rank;
      }
    }
  }
  return 0;
}

std::size_t entries(fs::path const& cache) {
  std::size_t count = 0;
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(cache, error)) {
    count += entry.path().filename().string().starts_with("data-") ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("two ranks make one entry of the data cache, however long, and then both use it") {
  const Workplace place;
  make_model_and_data(place);
  {
    std::ofstream data(place / "ids.jsonl");  // enough for the encoding rank to be caught
    for (int i = 0; i < 50000; ++i) {
      data << "{\"ids\": [1, " << 3 + i % 29 << ", " << 3 + i % 13 << ", 2], \"loss_from\": 1}\n";
    }
  }
  write_config(place, R"({"name": "lomo", "lr": 0.05})",
               R"(, "eval": {"before": false, "at_end": false})");
  const fs::path cache = place / "cache";
  const auto with = [&](std::string const& name, std::string const& kept, int timeout) {
    return command(place, name,
                   {"--set", "train.max_steps=4", "--set", "data.cache=" + kept, "--rank-timeout",
                    std::to_string(timeout)});
  };
  const ProcessResult plain = launch(place, 2, with("plain", "off", 600));
  INFO(plain.err);
  REQUIRE(plain.code == 0);

  const Process job = start(place, std::vector<Arguments>(2, with("first", cache.string(), 5)));
  pid_t encoding = 0;
  for (int tries = 0; tries < 30000 && encoding == 0 && entries(cache) == 0; ++tries) {
    encoding = encoding_one(children_of(job.id()));
    std::this_thread::sleep_for(milliseconds(1));
  }
  REQUIRE(encoding != 0);
  // Longer than ranks wait for each other.
  kill(encoding, SIGSTOP);
  std::this_thread::sleep_for(seconds(8));
  CHECK(entries(cache) == 0);
  kill(encoding, SIGCONT);
  const ProcessResult first = job.wait();
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK(entries(cache) == 1);

  const ProcessResult second = launch(place, 2, with("second", cache.string(), 600));
  INFO(second.err);
  REQUIRE(second.code == 0);
  CHECK(entries(cache) == 1);
  CHECK(contains(second.err, "encoded before, from"));
  for (char const* name : {"first", "second"}) {
    CHECK(losses_of(place, name) == losses_of(place, "plain"));
    CHECK(weights(place / (std::string(name) + "/model")) == weights(place / "plain/model"));
  }
}
