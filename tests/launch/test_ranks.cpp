#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "launch.h"
#include "support/catch.h"

using namespace lomo::test;
namespace fs = std::filesystem;

TEST_CASE("what all ranks get wrong is said once, with its own exit code") {
  const Workplace place;
  const ProcessResult missing =
      launch(place, std::vector<Arguments>(3, {"--config", "no-such.json"}));
  INFO(missing.err);
  CHECK(missing.code == 2);
  CHECK(count_lines(missing.err, "error: ") == 1);
  CHECK_FALSE(contains(missing.err, "rank"));
  const ProcessResult alone =
      launch(place, std::vector<Arguments>(2, {"verify", place.path().string()}));
  CHECK(alone.code == 2);
  CHECK(count_lines(alone.err, "error: ") == 1);
  const ProcessResult version = launch(place, std::vector<Arguments>(2, {"--version"}));
  CHECK(version.code == 0);
  CHECK(count_lines(version.out, "lomo-train") == 1);
}

TEST_CASE("ranks that were given different things are told which and what") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  struct Case {
    Arguments second;
    int code;
    std::string said;
  };
  fs::copy(place / "model", place / "model2");
  {
    std::fstream weights(place / "model2/model.safetensors", std::ios::in | std::ios::out);
    weights.seekp(5000);
    weights.put('\x2a');
  }
  std::ofstream(place / "ids2.jsonl") << slurp(place / "ids.jsonl") << "{\"ids\": [1, 3, 2]}\n";
  for (Case const& c :
       {Case{{"--set", "optimizer.lr=0.1"}, 2, "rank 1 has optimizer.lr 0.1, rank 0 has 0.05"},
        Case{{"--set", "data.train=" + (place / "ids2.jsonl")}, 2, "another training data"},
        Case{{"--set", "model.path=" + (place / "model2")}, 2, "another model folder"}}) {
    const ProcessResult result =
        launch(place, {command(place, "out"), command(place, "out", c.second)});
    INFO(result.err);
    CHECK(result.code == c.code);
    CHECK(contains(result.err, c.said));
    CHECK(count_lines(result.err, "error: ") == 1);
  }
  const ProcessResult mixed = launch(place, {command(place, "out"),
                                             {"eval", "--model", place / "model", "--task", "ids",
                                              "--data", place / "ids.jsonl"}});
  INFO(mixed.err);
  CHECK(mixed.code == 2);
  CHECK(contains(mixed.err, "rank 1 has command eval, rank 0 has train"));
}

TEST_CASE("a rank that alone meets bad data ends all of them with its code and its message") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  std::ofstream(place / "bad.jsonl") << slurp(place / "ids.jsonl") << "{\"ids\": [1, 3\n";
  const auto start = std::chrono::steady_clock::now();
  const ProcessResult result =
      launch(place, {command(place, "out"), command(place, "out"),
                     command(place, "out", {"--set", "data.train=" + (place / "bad.jsonl")})});
  INFO(result.err);
  CHECK(result.code == 4);
  CHECK(contains(result.err, "error: rank 2: "));
  CHECK(contains(result.err, "bad.jsonl:41"));
  CHECK(count_lines(result.err, "error: ") == 1);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
}
