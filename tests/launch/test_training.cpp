#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "launch.h"
#include "support/catch.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

constexpr char const* kAdaLomo = R"({"name": "adalomo", "lr": 0.01})";

}  // namespace

TEST_CASE("any number of ranks trains the same model, and the same number to the same bits") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kAdaLomo,
               R"(, "save": {"shard_size": "8KiB"}, "ranks": {"comm_dtype": "f32"})");
  REQUIRE(run(place, command(place, "alone")).code == 0);
  const std::vector<double> alone = losses_of(place, "alone");
  REQUIRE(alone.size() == 24);
  // Sums over at most 64 rows in another order, in f32, at each of 24 steps.
  const double tolerance = 24 * 64 * std::ldexp(1.0, -24) * alone.front();
  for (const int ranks : {2, 3, 4, 8}) {
    const std::string name = "ranks" + std::to_string(ranks);
    const ProcessResult result = launch(place, ranks, command(place, name));
    INFO(result.err);
    REQUIRE(result.code == 0);
    CHECK(count_lines(result.out, "perplexity") == 1);
    CHECK(count_lines(result.err, "I eval end") == 1);
    const std::vector<double> losses = losses_of(place, name);
    REQUIRE(losses.size() == alone.size());
    for (std::size_t i = 0; i < losses.size(); ++i)
      CHECK(std::abs(losses[i] - alone[i]) <= tolerance);
    const ProcessResult verified = run(place, {"verify", place / (name + "/model")});
    INFO(verified.out);
    CHECK(verified.code == 0);
  }
  REQUIRE(launch(place, 2, command(place, "again")).code == 0);
  for (auto const& entry : fs::directory_iterator(place / "ranks2/model")) {
    INFO(entry.path());
    CHECK(slurp(entry.path()) == slurp(fs::path(place / "again/model") / entry.path().filename()));
  }
  const ProcessResult eval = launch(
      place, 2,
      {"eval", "--model", place / "ranks2/model", "--task", "ids", "--data", place / "ids.jsonl"});
  INFO(eval.err);
  CHECK(eval.code == 0);
  CHECK(count_lines(eval.out, "loss ") == 1);
}

TEST_CASE("a checkpoint goes from one rank to two, to four and back without a bit of it changing") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kAdaLomo, R"(, "eval": {"before": false, "at_end": false},
      "save": {"final_model": "none"})");
  REQUIRE(run(place, command(place, "of1", {"--set", "train.max_steps=5"})).code == 0);
  const std::vector<std::string> files{"model.safetensors", "optimizer.safetensors"};
  std::string before = "of1";
  for (const int ranks : {2, 4, 1}) {
    // Nothing is left to train: what is read is written again.
    const std::string name = "after" + before;
    const Arguments resume{"--resume", place / (before + "/checkpoints/step-5"), "--output",
                           place / name};
    const ProcessResult result = ranks == 1 ? run(place, resume) : launch(place, ranks, resume);
    INFO(result.err);
    REQUIRE(result.code == 0);
    CHECK(same_files(place / "of1/checkpoints/step-5", place / (name + "/checkpoints/step-5"),
                     files));
    before = name;
  }
}
