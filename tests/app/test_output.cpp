// Output that is lost, and readers that leave.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "support/data.h"
#include "support/source_dir.h"
#include "training.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

Process in_shell(Workplace const& place, std::string const& line) {
  return Process(place, "/bin/bash", {"-c", line});
}

std::string quoted(std::string const& program) {
  return "'" + program + "'";
}

std::string quoted_small_tokenizer() {
  return quoted((source_dir() / "tests/fixtures/tokenizers/split_bytes").string());
}

}  // namespace

TEST_CASE("results that cannot be printed are exit code 1, after all is saved") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, "");
  const std::string program = quoted(LOMO_TRAIN_PROGRAM), config = quoted(place / "run.json");
  for (std::string const& arguments :
       {" --config " + config + " --output " + quoted(place / "out"),
        " eval --task ids --model " + quoted(place / "model") + " --data " +
            quoted(place / "ids.jsonl"),
        " verify " + quoted(place / "model"), " plan --config " + config,
        " inspect --config " + config,
        " tokenize --decode --model " + quoted_small_tokenizer() + " " +
            quoted(place / "ids.jsonl"),
        " cache --folder " + quoted(place.path().string()), std::string(" --help")}) {
    const ProcessResult result = in_shell(place, program + arguments + " > /dev/full").wait();
    INFO(arguments << ": " << result.err);
    CHECK(result.code == 1);
    CHECK(contains(result.err, "stdout cannot be written: No space left on device"));
  }
  CHECK(fs::exists(place / "out/model/model.safetensors"));
}

TEST_CASE("where stdout or stderr is closed, nothing of them gets into a file of the run") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, kLomo, R"(, "save": {"every_steps": 5})");
  REQUIRE(run(place, command(place, "open", {})).code == 0);
  const std::string program = quoted(LOMO_TRAIN_PROGRAM) + " --threads 1 --config " +
                              quoted(place / "run.json") + " --output ";
  for (auto const& [closed, code] : {std::pair{">&-", 1}, {"2>&-", 0}, {"<&- >&- 2>&-", 1}}) {
    const std::string name = "closed" + std::to_string(std::string(closed).size());
    const ProcessResult result =
        in_shell(place, program + quoted(place / name) + " " + closed).wait();
    INFO(closed << ": " << result.out << result.err);
    CHECK(result.code == code);
    if (code == 1 && std::string(closed) == ">&-") {
      CHECK(contains(result.err, "stdout cannot be written: Bad file descriptor"));
    }
    std::ifstream metrics(place / (name + "/metrics.jsonl"));
    std::size_t count = 0;
    for (std::string line; std::getline(metrics, line); ++count)
      CHECK(line.starts_with("{\"event"));
    CHECK(count == count_lines(slurp(place / "open/metrics.jsonl"), "\n"));
    std::ifstream log(place / (name + "/train.log"));
    for (std::string line; std::getline(log, line);) CHECK(line.starts_with("20"));  // its date
    CHECK_FALSE(contains(slurp(place / (name + "/run.lock")), "\n"));
    CHECK(weights(place / (name + "/model")) == weights(place / "open/model"));
    check_all_whole(place, place, name);
  }
}

TEST_CASE("tokenize and inspect end when nobody reads them any more") {
  const Workplace place;
  make_model_and_data(place);
  write_many(place, "ids.jsonl", 20000);
  write_config(place, kLomo, "");
  for (std::string const& arguments :
       {" tokenize --decode --model " + quoted_small_tokenizer() + " " +
            quoted(place / "ids.jsonl"),
        " inspect --count 20000 --config " + quoted(place / "run.json")}) {
    const ProcessResult result =
        in_shell(place, quoted(LOMO_TRAIN_PROGRAM) + arguments +
                            " | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}")
            .wait();
    INFO(arguments << ": " << result.err);
    CHECK(result.code == 0);
    CHECK_FALSE(contains(result.err, "stdout"));
  }
}

TEST_CASE("generate ends when nobody reads it any more") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const std::string model = (data_dir() / "checkpoints/stories260K/hf").string();
  const auto begin = Clock::now();
  const ProcessResult result =
      in_shell(place, quoted(LOMO_TRAIN_PROGRAM) + " generate --model " + quoted(model) +
                          " --prompt Once --max-tokens 200000 --temperature 1.5 | head -c 8; exit "
                          "${PIPESTATUS[0]}")
          .wait();
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.size() == 8);
  CHECK(seconds_since(begin) < 30);
}
