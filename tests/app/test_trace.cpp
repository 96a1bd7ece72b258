// --trace on one rank.
#include "support/trace.h"

#include "program.h"

using namespace lomo::test;

namespace {

std::vector<std::string> traced(Workplace const& place, std::string const& output,
                                std::vector<std::string> const& more) {
  std::vector<std::string> all{
      "--config", place / "run.json",  "--output", place / output,     "--threads", "1",
      "--set",    "eval.before=false", "--set",    "train.max_steps=4"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("a trace has the operations of the steps asked for, one after the other") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "adalomo", "lr": 0.01})", "");
  const std::string file = place / "trace.json";
  const ProcessResult result = run(place, traced(place, "run", {"--trace", file}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.err, "trace of steps 2 to 3 in " + file));
  const auto trace = read_trace(file);
  REQUIRE(trace.size() == 1);
  TracedRank const& rank = trace.at(0);
  REQUIRE(rank.steps.size() == 2);
  CHECK(rank.steps[0].name == "step 2");
  CHECK(rank.steps[1].name == "step 3");
  double free = 0, issued = 0;
  std::map<std::string, std::size_t> in_step[2];
  for (Traced const& event : rank.events) {
    INFO(event.name << " at " << event.begin);
    CHECK(event.queue == "compute");
    CHECK(event.begin >= free - kPrinted);
    CHECK(event.issued >= issued);
    const bool second = event.issued >= rank.steps[1].begin;
    CHECK(event.begin >= rank.steps[second ? 1 : 0].begin);
    CHECK(event.end <= rank.steps[second ? 1 : 0].end + kPrinted);
    in_step[second ? 1 : 0][event.name] += 1;
    if (event.name == "linear") CHECK(event.flops > 0);
    free = event.end;
    issued = event.issued;
  }
  for (auto& names : in_step) {
    CHECK(names["adalomo_update"] > 0);
    CHECK(names["attention"] == 2u * 3);  // 2 blocks, in forward and in two recomputations
  }
}

TEST_CASE("a trace that cannot be written, or not as asked, is refused before anything is read") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})", "");
  const auto refused = [&](std::vector<std::string> const& options, std::string const& words) {
    const ProcessResult result = run(place, traced(place, "run", options));
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(contains(result.err, words));
    CHECK_FALSE(std::filesystem::exists(place / "run"));
  };
  refused({"--trace", place / "no/trace.json"}, "there is no folder " + (place / "no"));
  refused({"--trace", place.path().string()}, "this is a folder");
  for (char const* steps : {"3-2", "0-2", "2-", "-2", "two", "2-3x", ""}) {
    refused({"--trace", place / "trace.json", std::string("--trace-steps=") + steps},
            "--trace-steps");
  }
  refused({"--trace-steps", "2"}, "--trace");
}

TEST_CASE("a run that ends before the steps to be traced says so, within them it writes them") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})", "");
  const std::string file = place / "trace.json";
  ProcessResult result = run(place, traced(place, "one", {"--trace", file, "--trace-steps", "9"}));
  CHECK(result.code == 0);
  CHECK(contains(result.err, "step 9 was not reached"));
  CHECK_FALSE(std::filesystem::exists(file));
  result = run(place, traced(place, "two", {"--trace", file, "--trace-steps", "4-9"}));
  CHECK(result.code == 0);
  CHECK(contains(result.err, "trace of step 4 in"));
  CHECK(read_trace(file).at(0).steps.size() == 1);
}
