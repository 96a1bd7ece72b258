// What a user reads: on a terminal of 80 columns, on none, and in messages.
#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "support/data.h"
#include "training.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

/// What the program draws on a terminal of 80 columns, escape codes and all.
std::string on_terminal(Workplace const& place, std::string const& term,
                        std::vector<std::string> const& arguments) {
  std::string line = "stty cols 80 rows 24; TERM=" + term + " '" LOMO_TRAIN_PROGRAM "'";
  for (std::string const& argument : arguments) line += " '" + argument + "'";
  Process(place, "/usr/bin/script", {"-qec", line, place / "typed"}).wait();
  return slurp(place / "typed");
}

std::string edited(std::string text, std::string const& from, std::string const& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

}  // namespace

TEST_CASE("on a terminal a bar of less than 80 columns is drawn, and the log file has step lines") {
  if (!fs::exists("/usr/bin/script")) LOMO_SKIP("there is no script(1) to make a terminal with");
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const std::string seen =
      on_terminal(place, "xterm", command(place, "out", {"--set", "train.epochs=40"}));
  INFO(seen);
  // Each redraw begins by going back to the first column.
  std::istringstream draws(edited(seen, "\r\033[K", "\n"));
  int bars = 0;
  for (std::string draw; std::getline(draws, draw);) {
    if (!draw.starts_with("[")) continue;
    ++bars;
    INFO(draw);
    CHECK(draw.find_last_not_of("\r") + 1 < 80);
    CHECK(contains(draw, " left  loss "));
    CHECK(contains(draw, " tokens/s  lr "));
  }
  CHECK(bars > 0);
  const std::string log = slurp(place / "out/train.log");
  CHECK(contains(log, "step 1/"));
  CHECK_FALSE(contains(log, "\033"));
  CHECK_FALSE(contains(seen, "smoothed"));  // that line is for the file
}

TEST_CASE("no escape code reaches a terminal that does not know them, or what is no terminal") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const ProcessResult piped = run(place, command(place, "piped", {}));
  REQUIRE(piped.code == 0);
  CHECK_FALSE(contains(piped.err, "\033"));
  CHECK_FALSE(contains(piped.err, "\r"));
  CHECK(contains(piped.err, "step 24/24, epoch 3.00, loss "));
  if (!fs::exists("/usr/bin/script")) return;
  const std::string dumb = on_terminal(place, "dumb", command(place, "dumb", {}));
  INFO(dumb);
  CHECK(contains(dumb, "step 24/24, epoch 3.00, loss "));
  CHECK_FALSE(contains(dumb, "\033"));
}

TEST_CASE("the table at the end says what the run came to") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo,
               R"(, "eval": {"every_steps": 8}, "save": {"every_steps": 8, "keep_last": 0})");
  const ProcessResult result = run(place, command(place, "out", {}));
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  for (char const* row : {"training loss", "  loss ", "perplexity", "best loss",
                          "epochs             3.00", "24 applied, 0 skipped", "targets", "time",
                          "speed", "peak memory", "model", "run folder"}) {
    INFO(row);
    CHECK(contains(result.out, row));
  }
  CHECK(contains(result.out, " after step "));
  CHECK(contains(result.out, ", in " + (place / "out/")));
  const std::string metrics = slurp(place / "out/metrics.jsonl");
  CHECK(count_lines(metrics, "\"event\":\"end\"") == 1);
  CHECK(contains(metrics, "\"seconds\":{\"data\":"));
}

TEST_CASE("one is not many, and large numbers have no exponent") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const ProcessResult one = run(place, command(place, "out", {"--set", "train.max_steps=1"}));
  INFO(one.err);
  CHECK(contains(one.err, "; 1 step, the largest of "));
  CHECK_FALSE(contains(one.err, "1 steps"));
  CHECK_FALSE(contains(one.err, "computing on the CPU"));
  const ProcessResult planned = run(place, {"plan", "--config", place / "run.json", "--memory",
                                            "1GiB", "--tokens", "1", "--sequences", "1"});
  INFO(planned.out << planned.err);
  CHECK(contains(planned.out, "1 token (1 target, 1 distinct id) in 1 sequence"));
  CHECK_FALSE(contains(planned.out, "0.000 G"));
  CHECK(contains(run(place, {"verify", place / "model"}).out, " tensors, "));
}

TEST_CASE("ranges and arguments in messages are as people write them") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const auto refused = [&](std::string const& setting) {
    const ProcessResult result = run(place, command(place, "out", {"--set", setting}));
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK(contains(refused("data.validation_share=1"), "a number from 0 to below 1, found 1"));
  CHECK(contains(refused("optimizer.momentum=1"), "a number from 0 to below 1, found 1"));
  CHECK(contains(refused("train.seed=-1"), "a whole number of at least 0, found -1"));
  CHECK(contains(refused("spike_guard.cut=2"), "a number from 1e-06 to 1, found 2"));
  const ProcessResult unknown = run(place, {"--aaa", "--bbb", "a word", "--ccc"});
  INFO(unknown.err);
  CHECK(contains(unknown.err, "--aaa --bbb 'a word' --ccc"));
}

TEST_CASE("a hint with a path can be pasted into a shell") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "eval": {"before": false})");
  const std::string name = "my run (1)";
  const Process process(place, command(place, name, {"--set", "train.epochs=20000"}));
  wait_for_steps(process, place, name, 2);
  process.send(SIGTERM);
  const ProcessResult stopped = process.wait();
  INFO(stopped.err);
  REQUIRE(stopped.code == 7);
  const std::string hint = "Go on with: ";
  const std::size_t at = stopped.err.find(hint);
  REQUIRE(at != std::string::npos);
  std::string line = stopped.err.substr(at + hint.size());
  line = line.substr(0, line.find('\n')) + " --set train.max_steps=1";
  CHECK(Process(place, "/bin/bash", {"-c", line}).wait().code == 0);
}

TEST_CASE("eval says which model it evaluates, and names the one that the run made") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  REQUIRE(run(place, command(place, "out", {})).code == 0);
  const std::vector<std::string> eval{"eval", "--config", place / "out/config.json"};
  const ProcessResult base = run(place, eval);
  INFO(base.err);
  CHECK(base.code == 0);
  CHECK(contains(base.err, "evaluating " + (place / "model") + ", the model.path of "));
  CHECK(contains(base.err, "--model " + (place / "out/model")));
  auto named = eval;
  named.insert(named.end(), {"--model", place / "out/model"});
  const ProcessResult trained = run(place, named);
  CHECK(contains(trained.err, "evaluating " + (place / "out/model")));
  CHECK(trained.out != base.out);
}
