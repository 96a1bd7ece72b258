#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/catch.h"
#include "support/data.h"

using namespace lomo::test;
namespace fs = std::filesystem;

namespace {

/// A run of prompts and answers on a real little model.
std::vector<std::string> on_stories(Workplace const& place, std::string const& data,
                                    std::vector<std::string> const& settings = {}) {
  std::ofstream(place / "data.jsonl") << data;
  const std::string model = (data_dir() / "checkpoints/stories260K/hf").string();
  std::ofstream(place / "run.json")
      << R"({"model": {"path": ")" << model << R"("}, "data": {"task": "jsonl", "train": ")"
      << place / "data.jsonl"
      << R"(", "validation": ")" << place / "data.jsonl"
      << R"("}, "batch": {"sequences": 2}, "train": {"epochs": 1}, "clip": {"norm": 1.0},
         "optimizer": {"name": "lomo", "lr": 0.05}, "schedule": {"kind": "constant"}})";
  std::vector<std::string> command{"--device", "cpu", "--config", place / "run.json"};
  for (std::string const& setting : settings) {
    command.insert(command.end(), {"--set", setting});
  }
  return command;
}

ProcessResult train(Workplace const& place, std::vector<std::string> command) {
  command.insert(command.end(), {"--output", place / "out"});
  return run(place, command);
}

constexpr char const* kTwo =
    "{\"prompt\": \"The sky is \", \"answer\": \"blue\"}\n"
    "{\"prompt\": \"The grass is \", \"answer\": \"green\"}\n";

/// Lines on stderr before the first evaluation.
std::size_t lines_of_start(std::string const& err) {
  const std::string start = err.substr(0, err.find("eval before"));
  return static_cast<std::size_t>(std::count(start.begin(), start.end(), '\n'));
}

}  // namespace

TEST_CASE("a start shows the data in at most eight lines, and all of an example when asked") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  const ProcessResult brief = run(place, {"--config", place / "run.json", "--output", place / "a"});
  INFO(brief.err);
  REQUIRE(brief.code == 0);
  CHECK(lines_of_start(brief.err) <= 8);
  CHECK(contains(brief.err, "data: training 32 sequences, "));
  CHECK(contains(brief.err, "evaluation 8 sequences, "));
  CHECK(contains(brief.err, "24 steps, the largest of "));
  CHECK(contains(brief.err, "first of training (" + place / "ids.jsonl" + ":"));
  CHECK(contains(brief.err, "first of evaluation ("));
  CHECK_FALSE(contains(brief.err, "\x1b["));
  CHECK_FALSE(contains(brief.err, "all of it"));
  const ProcessResult all =
      run(place, {"--config", place / "run.json", "--output", place / "b", "--log-level", "debug"});
  CHECK(contains(all.err, "all of it: 1 "));
}

TEST_CASE("inspect shows ids, lengths and what is left out, without weights or config.json") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  fs::remove(place / "model/model.safetensors");
  fs::remove(place / "model/config.json");
  const ProcessResult seen =
      run(place, {"inspect", "--config", place / "run.json", "--count", "2"});
  INFO(seen.out << seen.err);
  REQUIRE(seen.code == 0);
  CHECK(contains(seen.out, "training: 32 sequences, "));
  CHECK(count_lines(seen.out, "ids.jsonl:") == 4);
  CHECK(contains(seen.out, "\xE2\x9F\xA6"));
  CHECK(contains(seen.out, "nothing is cut or left out"));
  const ProcessResult skipped = run(place, {"inspect", "--config", place / "run.json", "--set",
                                            "data.max_length=8", "--set", "data.too_long=skip"});
  INFO(skipped.out << skipped.err);
  REQUIRE(skipped.code == 0);
  CHECK(contains(skipped.out, "of more than data.max_length 8"));
  const ProcessResult refused =
      run(place, {"inspect", "--config", place / "run.json", "--set", "data.max_length=8"});
  CHECK(refused.code == 4);
  CHECK(contains(refused.err, "lists of ids of the training data are longer than"));
  CHECK(run(place, {"inspect"}).code == 2);
}

TEST_CASE("records of endless depth are a sentence and exit code 4, wherever JSON is written") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.05})", "");
  const std::string deep(300000, '[');
  std::ofstream(place / "ids.jsonl") << "{\"ids\": [1, 2], \"more\": " << deep << "}\n";
  const ProcessResult data = run(place, {"inspect", "--config", place / "run.json"});
  CHECK(data.code == 4);
  CHECK(contains(data.err, "ids.jsonl:1:"));
  CHECK(contains(data.err, "nested more than 64 levels deep"));
  const ProcessResult set = run(place, {"inspect", "--config", place / "run.json", "--set",
                                        "data.train=" + deep.substr(0, 100000)});
  CHECK(set.code == 2);
  CHECK(contains(set.err, "nested more than 64 levels deep"));
  std::ofstream(place / "model/config.json") << "{\"a\": " << deep;
  const ProcessResult model =
      run(place, {"--config", place / "run.json", "--output", place / "out"});
  CHECK(model.code == 4);
  CHECK(contains(model.err, "nested more than 64 levels deep"));
}

TEST_CASE(
    "prompts and answers: pieces, tokens and warnings at start, predictions at each evaluation") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const ProcessResult done = train(
      place,
      on_stories(place, std::string(kTwo) + "{\"prompt\": \"<s>One \", \"answer\": \"two\"}\n",
                 {"train.epochs=2"}));
  INFO(done.err);
  REQUIRE(done.code == 0);
  CHECK(contains(done.err, "tokens: bos 1 \"<s>\" ("));
  CHECK(contains(done.err, "6 prompts end in a space"));
  CHECK(contains(done.err, "the model writes 3 answers, at most "));
  CHECK(contains(done.err, "special tokens are written in 1 training example"));
  CHECK(contains(done.err, "<s>/1 \xE2\x96\x81The/"));
  CHECK(contains(done.out, "exact_match"));
  for (char const* tag : {"before", "end"}) {
    std::ifstream file(place / ("out/predictions/" + std::string(tag) + "/predictions.jsonl"));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    REQUIRE(lines.size() == 3);
    CHECK(lines[0]["prompt"] == "The sky is ");
    CHECK(lines[0]["answer"] == "blue");
    CHECK(lines[0]["where"] == place / "data.jsonl" + ":1");
    CHECK(lines[0]["loss"].get<double>() > 0);
    CHECK(lines[0]["prediction"].is_string());
    CHECK(lines[0]["exact_match"].is_boolean());
  }
}

TEST_CASE("what was learnt by heart is generated, whether or not the prompt ends in a space") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const ProcessResult done =
      train(place, on_stories(place, kTwo, {"train.epochs=60", "eval.generate_examples=1"}));
  INFO(done.err << done.out);
  REQUIRE(done.code == 0);
  CHECK(contains(done.err, "exact_match 100 of 1 answer written"));
  for (char const* prompt : {"The sky is ", "The sky is"}) {
    const ProcessResult text =
        run(place, {"generate", "--device", "cpu", "--model", place / "out/model", "--prompt",
                    prompt, "--max-tokens", "12"});
    INFO(text.err);
    REQUIRE(text.code == 0);
    CHECK(text.out == "The sky is blue\n");
    CHECK(contains(text.err, "the prompt ends in a space") == std::string(prompt).ends_with(' '));
  }
  const ProcessResult eval = run(place, {"eval", "--device", "cpu", "--config", place / "run.json",
                                         "--model", place / "out/model", "--output", place / "p"});
  INFO(eval.err);
  CHECK(eval.code == 0);
  CHECK(contains(eval.out, "exact_match 100"));
  CHECK(fs::exists(place / "p/predictions.jsonl"));
  // What is written is planned with the rest, to the byte.
  const std::string planned = between(eval.err, "at the peak (", ")");
  CHECK_FALSE(planned.empty());
  CHECK(contains(between(eval.err, "peak memory ", "\n"), ": " + planned));
  const ProcessResult none =
      run(place, {"eval", "--device", "cpu", "--config", place / "run.json", "--model",
                  place / "out/model", "--set", "eval.generate_examples=0"});
  CHECK_FALSE(contains(none.out, "exact_match"));
}

TEST_CASE("answers that teach nothing are refused, some of them are a warning") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const std::string blank = "{\"prompt\": \"The sky is\", \"answer\": \" \"}\n";
  const ProcessResult all = run(place, {"inspect", "--config", on_stories(place, blank).back()});
  const ProcessResult some =
      run(place, {"inspect", "--config", on_stories(place, std::string(kTwo) + blank).back()});
  INFO(all.err << some.out);
  CHECK(all.code == 4);
  CHECK(contains(all.err, "no answer of the training data has a token to learn"));
  CHECK(some.code == 0);
  CHECK(contains(some.out, "1 training example (" + place / "data.jsonl" + ":3) has an answer"));
}

TEST_CASE("inspect shows text with the answer marked, and pieces on request") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const std::string config = on_stories(place, kTwo).back();
  const ProcessResult text = run(place, {"inspect", "--config", config, "--count", "1"});
  INFO(text.out << text.err);
  REQUIRE(text.code == 0);
  CHECK(contains(text.out, "The sky is\xE2\x9F\xA6 blue</s>\xE2\x9F\xA7\n"));
  CHECK_FALSE(contains(text.out, "</s>/2"));
  const ProcessResult pieces =
      run(place, {"inspect", "--config", config, "--count", "1", "--pieces"});
  CHECK(contains(pieces.out, "</s>/2\xE2\x9F\xA7\n"));
  const ProcessResult chat = run(
      place, {"inspect", "--config",
              on_stories(place, R"({"messages": [{"role": "user", "content": "hi"}]})").back()});
  CHECK(chat.code == 4);
  CHECK(contains(chat.err, place / "data.jsonl" + ":1: field \"prompt\" is missing"));
  CHECK(contains(chat.err, "set data.task to \"chat\""));
}
