// Conversations in runs: inspect, evaluations, samples and generate --chat.
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "json_lines.h"
#include "program.h"
#include "support/catch.h"
#include "support/data.h"

using namespace lomo::test;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

/// A run that learns answers by heart, on a real little model.
struct Talk {
  Talk() {
    std::ofstream chats(place / "chats.jsonl");
    for (auto const& [question, answer] : {std::pair{"The sky?", "It is blue."},
                                           {"The grass?", "It is green."},
                                           {"The sun?", "It is hot."}}) {
      chats << Json{{"messages",
                     {{{"role", "user"}, {"content", question}},
                      {{"role", "assistant"}, {"content", answer}}}}}
                   .dump()
            << "\n";
    }
    std::ofstream(place / "samples.txt") << "The sun?\n";
    std::ofstream(place / "run.json")
        << R"({"model": {"path": ")" << (data_dir() / "checkpoints/stories260K/hf").string()
        << R"("}, "data": {"task": "chat", "template": "llama2", "train": ")"
        << place / "chats.jsonl"
        << R"(", "validation": ")" << place / "chats.jsonl"
        << R"(", "samples": ")" << place / "samples.txt"
        << R"("}, "batch": {"sequences": 3}, "train": {"epochs": 150}, "clip": {"norm": 1.0},
           "optimizer": {"name": "lomo", "lr": 0.05}, "schedule": {"kind": "constant"}})";
  }
  std::vector<std::string> generate(std::vector<std::string> const& more) const {
    std::vector<std::string> command{"generate",          "--device", "cpu",        "--model",
                                     place / "out/model", "--chat",   "--template", "llama2"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  Workplace place;
};

std::string in_shell(std::vector<std::string> const& arguments, std::string const& more) {
  std::string line = "'" LOMO_TRAIN_PROGRAM "'";
  for (std::string const& argument : arguments) line += " '" + argument + "'";
  return line + more;
}

}  // namespace

TEST_CASE("a chat that was learnt is evaluated, sampled and answered") {
  LOMO_NEEDS_DATA();
  const Talk talk;
  Workplace const& place = talk.place;
  const ProcessResult seen =
      run(place, {"inspect", "--config", place / "run.json", "--count", "1"});
  INFO(seen.out << seen.err);
  CHECK(contains(seen.out, "The sky? [/INST]\xE2\x9F\xA6 It is blue.</s>\xE2\x9F\xA7"));

  const ProcessResult done =
      run(place, {"--device", "cpu", "--config", place / "run.json", "--output", place / "out"});
  INFO(done.err << done.out);
  REQUIRE(done.code == 0);
  CHECK(contains(done.err, "the model writes 3 answers, at most "));
  CHECK(contains(done.err, "and answers 1 prompt of data.samples"));
  CHECK(contains(done.err, "exact_match 100 (3 examples"));
  CHECK(contains(done.err, "samples.txt:1: \"The sun?\" -> \"It is hot.\""));
  std::vector<Json> evaluations;
  for (Json const& line : lines_of(slurp(place / "out/metrics.jsonl"))) {
    if (line["event"] == "eval") evaluations.push_back(line);
  }
  REQUIRE(evaluations.size() == 2);
  CHECK(evaluations[0]["exact_match"] == 0);
  CHECK(evaluations[1]["exact_match"] == 100);
  CHECK(evaluations[0]["samples"][0]["answer"] != "It is hot.");
  CHECK(evaluations[1]["samples"] ==
        Json::parse(R"([{"prompt": "The sun?", "answer": "It is hot."}])"));
  const std::vector<Json> predictions =
      lines_of(slurp(place / "out/predictions/end/predictions.jsonl"));
  REQUIRE(predictions.size() == 3);
  CHECK(predictions[0]["answer"] == "It is blue.");
  CHECK(predictions[0]["prediction"] == "It is blue.");
  CHECK(contains(predictions[0]["prompt"], "[INST] The sky? [/INST]"));

  const ProcessResult one = run(place, talk.generate({"--prompt", "The grass?"}));
  INFO(one.err);
  CHECK(one.code == 0);
  CHECK(one.out == "It is green.\n");
  CHECK(run(place, talk.generate({"--prompt", "The sky?", "--max-tokens", "2"})).out.size() < 10);

  std::ofstream(place / "questions") << "The sky?\n\n/exit\nThe sun?\n";
  const std::string input = " < '" + place / "questions" + "'";
  const ProcessResult loop =
      Process(place, "/bin/bash", {"-c", in_shell(talk.generate({}), input)}).wait();
  INFO(loop.err);
  CHECK(loop.code == 0);
  CHECK(loop.out == "It is blue.\n");
  CHECK_FALSE(contains(loop.err, "> "));  // a sign for terminals

  // A conversation that is full loses its earliest turns, and answers as if they had not been.
  std::ofstream(place / "questions") << "The sky?\nThe grass?\n";
  const ProcessResult full =
      Process(place, "/bin/bash",
              {"-c", in_shell(talk.generate({"--max-tokens", "20", "--context", "50"}), input)})
          .wait();
  INFO(full.err);
  CHECK(full.out == "It is blue.\nIt is green.\n");
  CHECK(contains(full.err, "lost its earliest turn"));
  const ProcessResult small =
      Process(place, "/bin/bash",
              {"-c", in_shell(talk.generate({"--max-tokens", "20", "--context", "25"}), input)})
          .wait();
  CHECK(small.out.empty());
  CHECK(contains(small.err, "raise --context"));
}

TEST_CASE("inspect marks what is learnt of thoughts and tool calls, and counts what is not") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  fs::create_directory(place / "model");
  for (char const* name : {"tokenizer.json", "tokenizer_config.json"}) {
    fs::copy_file(data_dir() / "tokenizers/qwen2-151k" / name, fs::path(place / "model") / name);
  }
  std::ofstream(place / "c.jsonl")
      << R"({"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4", )"
      << R"("reasoning_content": "Two and two."}, {"role": "user", "content": "And 3+3?"}, )"
      << R"({"role": "assistant", "content": "6", "reasoning_content": "Three and three."}]})"
      << "\n"
      << R"({"messages": [{"role": "user", "content": "Rain?"}, {"role": "assistant", )"
      << R"("content": "", "tool_calls": [{"type": "function", "function": {"name": "look", )"
      << R"("arguments": {"at": "Köln"}}}]}, {"role": "tool", "content": "no <|im_end|>"}, )"
      << R"({"role": "assistant", "content": "No."}], )"
      << R"("tools": [{"type": "function", "function": {"name": "look"}}]})";
  std::ofstream(place / "run.json") << R"({"model": {"path": ")" << place / "model"
                                    << R"("}, "optimizer": {"lr": 0.01}, "data": )"
                                    << R"({"task": "chat", "train": ")" << place / "c.jsonl"
                                    << R"("}})";
  const auto inspect = [&](std::string const& chat, std::string const& loss_on) {
    const ProcessResult seen = run(
        place, {"inspect", "--config", place / "run.json", "--set",
                "data.template=" + (data_dir() / "chat" / chat / "chat_template.jinja").string(),
                "--set", "data.loss_on=" + loss_on});
    INFO(seen.err);
    CHECK(seen.code == 0);
    return seen.out;
  };
  const std::string qwen = inspect("qwen3-own", "all_answers");
  INFO(qwen);
  // The template takes earlier thoughts out: what is left is not what the model would write.
  CHECK(contains(qwen, "assistant\n4<|im_end|>\n"));
  CHECK(contains(
      qwen,
      "assistant\n\xE2\x9F\xA6<think>\nThree and three.\n</think>\n\n6<|im_end|>\xE2\x9F\xA7"));
  CHECK(contains(qwen, "{\"name\": \"look\", \"arguments\": {\"at\": \"Köln\"}}"));
  CHECK(
      contains(qwen, "2 training answers without loss: the template rewrites them in later turns"));
  CHECK(contains(qwen,
                 "1 training special token inside of messages, read as tokens "
                 "(\"<|im_end|>\" once): " +
                     place / "c.jsonl" + ":2"));
  const std::string smollm = inspect("smollm2", "all_answers");
  INFO(smollm);
  CHECK(contains(smollm,
                 "\xE2\x9F\xA6"
                 "4<|im_end|>\xE2\x9F\xA7"));
  CHECK(contains(smollm,
                 "\xE2\x9F\xA6"
                 "6<|im_end|>\xE2\x9F\xA7"));
  for (char const* field : {"reasoning_content", "tool_calls", "tools"}) {
    CHECK(contains(smollm, "1 training conversation with \"" + std::string(field) +
                               "\", which the template does not read"));
  }
  CHECK_FALSE(contains(inspect("smollm2", "last_answer"),
                       "\xE2\x9F\xA6"
                       "4<|im_end|>"));
}

TEST_CASE("what data.samples cannot be is refused with its place") {
  LOMO_NEEDS_DATA();
  const Talk talk;
  Workplace const& place = talk.place;
  const auto refused = [&](std::string const& samples,
                           std::vector<std::string> const& settings = {}) {
    std::ofstream(place / "samples.txt") << samples;
    std::vector<std::string> command{"inspect", "--config", place / "run.json"};
    for (std::string const& setting : settings) command.insert(command.end(), {"--set", setting});
    const ProcessResult result = run(place, command);
    CHECK(result.code != 0);
    return result.err;
  };
  CHECK(contains(refused("{\"prompt\": \"a\"}\nb\n"), "samples.txt:2:"));
  CHECK(
      contains(refused("{\"text\": \"a\"}\n"), "samples.txt:1: a line of data.samples must have"));
  CHECK(contains(refused("\n"), "holds no prompts"));
  CHECK(contains(refused("a\n" + std::string(2000, 'q') + "\n"), "samples.txt:2: a prompt of "));
  CHECK(
      contains(refused("a\n", {"data.validation=[]"}), "data.samples are answered at evaluations"));
  const std::string talk_of_turns =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},)"
      R"( {"role": "user", "content": "c"}]})";
  const std::string needs_chat = refused(
      talk_of_turns, {"data.task=text", "data.template=", "data.train=" + place / "samples.txt",
                      "data.validation=" + place / "samples.txt"});
  INFO(needs_chat);
  CHECK(contains(needs_chat, "samples.txt:1: a conversation needs data.task"));
}

TEST_CASE("Ctrl-C stops an answer, not the conversation") {
  LOMO_NEEDS_DATA();
  const Workplace place;
  const std::string model = (data_dir() / "checkpoints/stories260K/hf").string();
  const std::string fifo = place / "typed";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const Process process(
      place, "/bin/bash",
      {"-c", "exec " + in_shell({"generate", "--device", "cpu", "--model", model, "--chat",
                                 "--template", "chatml", "--max-tokens", "30000", "--context",
                                 "30100", "--temperature", "1"},
                                " < '" + fifo + "'")});
  std::ofstream typed(fifo);
  typed << "Tell a story.\n" << std::flush;
  for (int i = 0; i < 6000 && slurp(place / "stdout").size() < 20 && !process.ended(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  process.send(SIGINT);
  for (int i = 0; i < 6000 && !slurp(place / "stdout").ends_with('\n') && !process.ended(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK_FALSE(process.ended());
  typed << "/exit\n" << std::flush;
  const ProcessResult result = process.wait();
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.size() > 20);
}
