#include <filesystem>
#include <string>
#include <vector>

#include "data/encoded.h"
#include "data/support.h"
#include "lomo/data/readers.h"
#include "support/data.h"

using namespace lomo;
using test::has;
using test::refusal;
namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

namespace {

fs::path file_of(std::string const& name, std::string const& text) {
  static const fs::path folder = test::scratch("readers");
  return test::write_file(folder / name, text);
}

}  // namespace

TEST_CASE("Own JSONL: prompt and answer by their names") {
  const fs::path file =
      file_of("own.jsonl",
              "{\"prompt\": \"Say hi: \", \"answer\": \"hi\"}\r\n"
              "{\"prompt\": \"2+2=\", \"answer\": 4}\n\n{\"prompt\": \"?\", \"answer\": \"\"}\n");
  const auto e = test::jsonl(file, {});
  REQUIRE(e.size() == 3);
  CHECK(e[0].prompt == "Say hi: ");
  CHECK(e[0].answer == "hi");
  CHECK(e[0].passage_end == 8);
  CHECK(e[0].candidates.empty());
  CHECK(e[1].answer == "4");
  CHECK(e[2].answer.empty());
  CHECK(e[2].where == file.string() + ":4");
}

TEST_CASE("Own JSONL: a template over the record's fields") {
  const fs::path file =
      file_of("google.jsonl", R"({"question": "is it", "answer": true, "passage": "A thing."})");
  const auto e = test::jsonl(file, {"{passage} {question}?\nAnswer: ", "answer", "passage"});
  REQUIRE(e.size() == 1);
  CHECK(e[0].prompt == "A thing. is it?\nAnswer: ");
  CHECK(e[0].answer == "Yes");
  CHECK(e[0].passage_begin == 0);
  CHECK(e[0].passage_end == 8);
  CHECK(has(refusal(Exit::usage,
                    [&] {
                      test::jsonl(file, {"{question}", "answer", "passage"});
                    }),
            "\"passage\" does not occur"));
  CHECK(has(refusal(Exit::data,
                    [&] {
                      test::jsonl(file, {"{text}", "answer", ""});
                    }),
            "google.jsonl:1: field \"text\" is missing"));
  CHECK(
      has(refusal(Exit::data,
                  [&] { test::jsonl(file_of("l.jsonl", R"({"prompt": [1], "answer": 1})"), {}); }),
          "l.jsonl:1: field \"prompt\" must be a text, not [1]"));
}

TEST_CASE("Google's BoolQ file is read by its own field names") {
  LOMO_NEEDS_DATA();
  const auto e = test::jsonl(test::data_dir() / "boolq-google/train_first1000.jsonl",
                             {"{passage} {question}?\nAnswer: ", "answer", "passage"});
  CHECK(e.size() == 1000);
  CHECK(e[0].answer == "Yes");
  CHECK(e[0].prompt.ends_with("do iran and afghanistan speak the same language?\nAnswer: "));
}

TEST_CASE("Token ids need no tokenizer") {
  const fs::path file = file_of("ids.jsonl",
                                "{\"ids\": [1, 5, 6, 2], \"loss_from\": 2}\n"
                                "{\"ids\": [7, 8, 9]}\n{\"ids\": []}\n");
  const Dataset data = test::ids(file, 3);
  REQUIRE(data.size() == 3);
  CHECK(test::list(data[0].tokens) == Ids{1, 5, 6});
  CHECK(test::list(data[0].targets) == Ids{kNoTarget, 6, 2});
  CHECK(test::list(data[1].targets) == Ids{8, 9});
  CHECK(data[2].tokens.empty());
  CHECK(data.where(1) == file.string() + ":2");
  CHECK(has(refusal(Exit::data, [&] { test::ids(file, 2); }),
            "the longest has 3 tokens (" + file.string() + ":1)"));
  CHECK(has(refusal(Exit::data, [] { test::ids(file_of("none.jsonl", "\n"), 0); }),
            "none.jsonl: holds no records"));
  const auto complaint = [](std::string const& line) {
    return refusal(Exit::data, [&] { test::ids(file_of("bad.jsonl", line), 0); });
  };
  CHECK(has(complaint(R"({"tokens": [1]})"), "bad.jsonl:1: field \"ids\" is missing"));
  CHECK(has(complaint(R"({"ids": "1 2"})"), "field \"ids\" must be a list"));
  CHECK(has(complaint(R"({"ids": [1, -2]})"), "field \"ids\" holds -2"));
  CHECK(has(complaint(R"({"ids": [1, 2.5]})"), "holds 2.5"));
  CHECK(has(complaint(R"({"ids": [3000000000]})"), "holds 3000000000"));
  CHECK(has(complaint(R"({"ids": [1, 2], "loss_from": 2})"), "\"loss_from\" is 2 in a list of 2"));
  CHECK(has(complaint(R"({"ids": [1, 2], "loss_from": -1})"), "\"loss_from\" is -1"));
}

TEST_CASE("Plain text: one document a file, or parted where the user says") {
  const fs::path file = file_of("some.txt",
                                "\xEF\xBB\xBF"
                                "One.\r\nTwo.\r\n\r\n\r\n\r\nThree.\n");
  const auto whole = test::documents(file, {});
  REQUIRE(whole.size() == 1);
  CHECK(whole[0].text == "One.\nTwo.\n\n\n\nThree.");
  CHECK(whole[0].where == file.string() + ":1");
  const auto parts = test::documents(file, {"\n\n", "text"});
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].text == "One.\nTwo.");
  CHECK(parts[1].text == "Three.");
  CHECK(parts[1].where == file.string() + ":6");
  const auto marked =
      test::documents(file_of("mark.txt", "a\n<|end|>\nb\n<|end|>\n"), {"<|end|>", "text"});
  REQUIRE(marked.size() == 2);
  CHECK(marked[1].text == "b");
  CHECK(has(marked[1].where, "/mark.txt:3"));
  CHECK(has(refusal(Exit::data, [] { test::documents(file_of("empty.txt", "\n\n"), {}); }),
            "empty.txt: holds no records"));
  CHECK(has(refusal(Exit::data, [] { test::documents(file_of("bad.txt", "a\n\xff\n"), {}); }),
            "bad.txt:2: not UTF-8"));
}

TEST_CASE("Text in JSONL: one document a line") {
  const fs::path file = file_of("text.jsonl",
                                "{\"text\": \"One.\"}\n\n{\"text\": \"\\n\"}\n"
                                "{\"text\": \"Two.\\n\"}\n");
  const auto documents = test::documents(file, {});
  REQUIRE(documents.size() == 2);
  CHECK(documents[1].text == "Two.");
  CHECK(documents[1].where == file.string() + ":4");
  CHECK(has(refusal(Exit::data,
                    [&] {
                      test::documents(file, {"", "story"});
                    }),
            "text.jsonl:1: field \"story\" is missing"));
}
