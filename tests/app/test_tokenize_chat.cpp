// tokenize --chat: conversations as text, ids and what carries loss.
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "json_lines.h"
#include "program.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/source_dir.h"

using namespace lomo::test;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

std::string small_tokenizer() {
  return (source_dir() / "tests/fixtures/tokenizers/split_bytes").string();
}

constexpr char const* kTemplate =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}";

constexpr char const* kGreeting =
    R"({"messages": [{"role": "user", "content": "the"}, {"role": "assistant", "content": "and"}]})";

ProcessResult tokenize(Workplace const& place, std::vector<std::string> const& more) {
  std::ofstream(place / "t.jinja") << kTemplate;
  std::vector<std::string> command{"tokenize",        "--chat",     "--model",
                                   small_tokenizer(), "--template", place / "t.jinja"};
  command.insert(command.end(), more.begin(), more.end());
  return run(place, command);
}

}  // namespace

TEST_CASE("tokenize --chat writes text, ids and which of them carry loss") {
  const Workplace place;
  std::ofstream(place / "c.jsonl") << kGreeting << "\n\n" << kGreeting << "\n";
  const ProcessResult done = tokenize(place, {place / "c.jsonl"});
  INFO(done.err);
  REQUIRE(done.code == 0);
  const std::vector<Json> all = lines_of(done.out);
  REQUIRE(all.size() == 2);
  CHECK(all[0] == all[1]);
  CHECK(all[0]["text"] == "user: the</s>assistant: and</s>");
  REQUIRE(all[0]["ids"].size() == all[0]["loss"].size());
  std::vector<int> learnt;
  for (std::size_t i = 0; i < all[0]["ids"].size(); ++i) {
    if (all[0]["loss"][i] == 1) learnt.push_back(all[0]["ids"][i]);
  }
  // " and" is one token, whose space belongs to what the answer follows, and </s> ends the turn.
  CHECK(learnt == std::vector<int>{287, 381});
  CHECK(done.out.starts_with(R"({"text":")"));

  const ProcessResult open = tokenize(place, {"--add-generation-prompt", place / "c.jsonl"});
  CHECK(lines_of(open.out)[0]["text"] == "user: the</s>assistant: and</s>assistant: ");
  const Json longer = lines_of(open.out)[0]["loss"];
  REQUIRE(longer.size() > all[0]["loss"].size());
  for (std::size_t i = 0; i < longer.size(); ++i) {
    CHECK(longer[i] == (i < all[0]["loss"].size() ? all[0]["loss"][i] : Json(0)));
  }
  const ProcessResult everything = tokenize(place, {"--loss-on", "everything", place / "c.jsonl"});
  CHECK_FALSE(contains(lines_of(everything.out)[0]["loss"].dump(), "0"));
}

TEST_CASE("tokenize --chat reads from stdin, and says what it cannot use") {
  const Workplace place;
  std::ofstream(place / "t.jinja") << kTemplate;
  std::ofstream(place / "c.jsonl") << kGreeting << "\n{\"messages\": [{\"content\": \"x\"}]}\n";
  const ProcessResult piped =
      Process(place, "/bin/bash",
              {"-c", "cat '" + place / "c.jsonl" +
                         "' | '" LOMO_TRAIN_PROGRAM "' tokenize --chat --model '" +
                         small_tokenizer() + "' --template '" + place / "t.jinja" + "' -"})
          .wait();
  CHECK(piped.code == 4);
  CHECK(lines_of(piped.out).size() == 1);
  CHECK(contains(piped.err, "/dev/stdin:2: field \"messages/0/role\""));
  const ProcessResult none =
      run(place, {"tokenize", "--chat", "--model", small_tokenizer(), place / "c.jsonl"});
  CHECK(none.code == 4);
  CHECK(contains(none.err, "has no chat template"));
  CHECK(contains(none.err, "--template"));
  CHECK(run(place,
            {"tokenize", "--model", small_tokenizer(), "--template", "chatml", place / "c.jsonl"})
            .code == 2);
  CHECK(tokenize(place, {"--decode", place / "c.jsonl"}).code == 2);
  CHECK(tokenize(place, {"--loss-on", "nothing", place / "c.jsonl"}).code == 2);
}

TEST_CASE("real templates on real tokenizers: the text to the last byte, and its ids") {
  LOMO_NEEDS_DATA();
  for (auto const& [tokenizer, chat] : {std::pair{"smollm2-49k", "smollm2"},
                                        {"qwen2-151k", "qwen2.5-own"},
                                        {"qwen2-151k", "qwen3-own"},
                                        {"llama3-128k", "llama3"},
                                        {"llama2-32k-json", "mistral_v1"},
                                        {"phi3-32k-json", "phi-3-mini-own"}}) {
    INFO(tokenizer << " " << chat);
    const Workplace place;
    fs::create_directory(place / "model");
    fs::copy_file(data_dir() / "tokenizers" / tokenizer / "tokenizer.json",
                  place / "model/tokenizer.json");
    // The tokens that the expected texts were rendered with.
    std::ofstream(place / "model/tokenizer_config.json")
        << R"({"bos_token": "<BOS>", "eos_token": "<EOS>", "unk_token": "<UNK>", "pad_token": "<PAD>"})";
    for (const bool open : {false, true}) {
      std::ofstream messages(place / "m.jsonl"), texts(place / "t.jsonl");
      std::vector<std::string> expected;
      std::ifstream in(data_dir() / "chat" / chat / "expected.jsonl");
      for (std::string line; std::getline(in, line);) {
        const Json one = Json::parse(line);
        if (one["add_generation_prompt"] != open || !one.contains("text")) continue;
        messages << Json{{"messages", one["messages"]}}.dump() << "\n";
        texts << Json{{"text", one["text"]}}.dump() << "\n";
        expected.push_back(one["text"]);
      }
      messages.close();
      texts.close();
      REQUIRE(expected.size() > 3);
      std::vector<std::string> command{
          "tokenize",       "--chat",
          "--model",        place / "model",
          "--template",     (data_dir() / "chat" / chat / "chat_template.jinja").string(),
          place / "m.jsonl"};
      if (open) command.emplace_back("--add-generation-prompt");
      const ProcessResult done = run(place, command);
      INFO(done.err);
      REQUIRE(done.code == 0);
      const std::vector<Json> found = lines_of(done.out);
      const std::vector<Json> encoded =
          lines_of(run(place, {"tokenize", "--no-special", "--parse-special", "--model",
                               place / "model", place / "t.jsonl"})
                       .out);
      REQUIRE(found.size() == expected.size());
      REQUIRE(encoded.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i]["text"] == expected[i]);
        CHECK(found[i]["ids"] == encoded[i]["ids"]);
      }
    }
  }
}
