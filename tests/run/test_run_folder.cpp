#include <filesystem>
#include <fstream>
#include <string>

#include "lomo/core/error.h"
#include "lomo/run/run_folder.h"
#include "lomo/train/inputs.h"
#include "support/catch.h"
#include "support/files.h"

using namespace lomo;
namespace fs = std::filesystem;

TEST_CASE("a run folder is made once and never over another") {
  const test::TemporaryFolder scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path());
    folder.metric({{"event", "step"}, {"loss", 1.5}});
    std::ifstream metrics(scratch.path() / "metrics.jsonl");  // while the folder is still open
    std::string line;
    std::getline(metrics, line);
    CHECK(line == R"({"event":"step","loss":1.5})");
  }
  CHECK_THROWS_AS(RunFolder::create(scratch.path()), Error);
  RunFolder again = RunFolder::reopen(scratch.path());
  fs::create_directories(again.model());
  CHECK_THROWS_AS(RunFolder::reopen(scratch.path()), Error);
}

TEST_CASE("a folder under a file cannot be a run folder") {
  const test::TemporaryFolder scratch;
  const fs::path file = scratch.put("file", "a file");
  CHECK_THROWS_AS(RunFolder::check(file), Error);
  CHECK_THROWS_AS(RunFolder::check(file / "below"), Error);
}

TEST_CASE("what is held out is about the share, repeatable, and never splits a group") {
  std::vector<std::string> groups;
  for (int i = 0; i < 300; ++i) groups.push_back(i < 200 ? "" : "g" + std::to_string(i / 5));
  const auto held = hold_out(groups, 0.25, 5);
  CHECK(held == hold_out(groups, 0.25, 5));
  CHECK(held != hold_out(groups, 0.25, 6));
  int count = 0;
  for (std::size_t i = 0; i < held.size(); ++i) {
    count += held[i] ? 1 : 0;
    if (i >= 200) CHECK(held[i] == held[i / 5 * 5]);
  }
  CHECK((count > 45 && count < 105));
}
