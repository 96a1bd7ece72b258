#include "data/encoded.h"
#include "records.h"

#include <filesystem>
#include <string>
#include <vector>

#include "data/support.h"
#include "formats.h"
#include "lomo/data/readers.h"
#include "lomo/data/tasks.h"
#include "support/source_dir.h"

using namespace lomo;
using test::has;
using test::refusal;
namespace fs = std::filesystem;

namespace {

fs::path file_of(std::string const& name, std::string const& text) {
  static const fs::path folder = test::scratch("records");
  return test::write_file(folder / name, text);
}

std::string complaint(std::string const& text, JsonlFields const& fields = {}) {
  return refusal(Exit::data, [&] { test::jsonl(file_of("x.jsonl", text), fields); });
}

const std::string kGood = "{\"prompt\": \"a\", \"answer\": \"b\"}";

}  // namespace

TEST_CASE("A JSON array is read like the same records in lines, wherever its lines end") {
  const std::string second = "{\"prompt\": \"[c]\", \"answer\": \"\\\"],\", \"more\": [[1], {}]}";
  const auto lines = test::jsonl(file_of("l.jsonl", kGood + "\n" + second + "\n"), {});
  for (std::string const& text :
       {"[" + kGood + "," + second + "]",
        "\xEF\xBB\xBF [ " + kGood + " ,\r\n" + second + "\r\n]\r\n",
        "\n\n[\n  {\n \"prompt\":\n\"a\",\n\"answer\": \"b\"}\n,\n" + second + "]\n\n"}) {
    CAPTURE(text);
    const auto array = test::jsonl(file_of("a.json", text), {});
    REQUIRE(array.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(array[i].prompt == lines[i].prompt);
      CHECK(array[i].answer == lines[i].answer);
    }
  }
  const fs::path file = file_of("p.json", "[" + kGood + ",\n  " + kGood + ", " + kGood + "]");
  const auto placed = test::jsonl(file, {});
  REQUIRE(placed.size() == 3);
  CHECK(placed[0].where == file.string() + ":1:2");
  CHECK(placed[1].where == file.string() + ":2:3");
  CHECK(placed[2].where == file.string() + ":2:35");
  CHECK(test::ids(file_of("i.json", "[{\"ids\": [1, 2]},\n{\"ids\": [3, 4]}]"), 0).size() == 2);
}

TEST_CASE("A broken JSON array names line and column") {
  CHECK(has(complaint("[" + kGood + " " + kGood + "]"), "x.jsonl:1:33: not valid JSON"));
  CHECK(has(complaint("[" + kGood + ",\n{\"prompt\": }]"), "x.jsonl:2:12: not valid JSON"));
  CHECK(has(complaint("[" + kGood + ",\n]"), "x.jsonl:2:1: leave out the comma"));
  CHECK(has(complaint("[" + kGood), "x.jsonl:1:1: the list of records has no end"));
  CHECK(has(complaint("[" + kGood + ","), "the list of records has no end"));
  CHECK(has(complaint("[" + kGood + "] x"), "x.jsonl:1:34: something follows the list"));
  CHECK(has(complaint("[" + kGood + ", 7]"), "x.jsonl:1:34: must be a JSON object, not 7"));
  CHECK(has(complaint("[[1]]"), "x.jsonl:1:2: must be a JSON object, not [1]"));
  CHECK(has(complaint("[]"), "x.jsonl: holds no records"));
  CHECK(has(complaint("[{\"prompt\": 1"), "x.jsonl:1:"));
  CHECK(has(complaint("[{\"prompt\": \"a\n\"}]"), "x.jsonl:1:"));
  CHECK(has(complaint("["), "has no end"));
}

TEST_CASE("An error about a record names path, line, column and the library's words never") {
  const std::string message = complaint(kGood + "\n\n{\"prompt\": \"a\", 'answer': 1}");
  CHECK(message.starts_with((test::scratch_root() / "records/x.jsonl").string() + ":3:17: "));
  CHECK(has(message, "JSON has double quotes"));
  CHECK_FALSE(has(message, "json.exception"));
  CHECK_FALSE(has(message, "at line 1"));
}

TEST_CASE("A missing field is answered with the fields there are and the nearest") {
  CHECK(has(complaint(R"({"promt": "a", "answer": "b"})"),
            "x.jsonl:1: field \"prompt\" is missing; the fields are \"answer\", \"promt\". Did you "
            "mean \"promt\"? Then set data.prompt_field to it"));
  CHECK(has(complaint(R"({"prompt": "a", "anser": "b"})"), "Then set data.answer_field to it"));
  CHECK(has(complaint(R"({"question": "a", "response": "b"})"),
            "data.prompt_field to \"question\" and data.answer_field to \"response\""));
  CHECK(has(complaint(R"({"prompt": "a", "completion": "b"})"),
            "data.prompt_field to \"prompt\" and data.answer_field to \"completion\""));
  CHECK(has(complaint(R"({"a": "a", "b": "b"})"), "Name the right one in data.prompt_field"));
  CHECK(has(complaint("{}"), "the object is empty"));
  std::string many = "{";
  for (int i = 0; i < 100000; ++i) many += "\"field " + std::to_string(i) + "\": 1, ";
  const std::string message = complaint(many + "\"" + std::string(1 << 20, 'x') + "\": 1}");
  CHECK(has(message, "and 99989 more"));
  CHECK(message.size() < 600);
  const Prompts prompts(test::source_dir() / "configs/prompts/superglue.json");
  CHECK(has(refusal(Exit::data,
                    [&] {
                      read_examples(Task::boolq, file_of("b.jsonl", R"({"idx": 0, "passge": "x"})"),
                                    prompts);
                    }),
            "Did you mean \"passge\"?"));
}

TEST_CASE("Data of another kind are recognised, and the setting that reads them is named") {
  const std::string chat = "set data.task to \"chat\"";
  CHECK(has(complaint(R"({"messages": [{"role": "user", "content": "hi"}]})"), chat));
  CHECK(has(complaint(R"([{"messages": [{"role": "user", "content": "hi"}]}])"),
            "chat data in \"messages\": " + chat));
  CHECK(has(complaint(R"({"conversations": [{"from": "human", "value": "hi"}]})"),
            "ShareGPT's \"conversations\": " + chat));
  CHECK(has(complaint(R"({"instruction": "a", "input": "", "output": "b"})"), "Alpaca's"));
  CHECK(has(complaint(R"({"dialog": [{"role": "user", "content": "hi"}]})"),
            "a list of chat messages in \"dialog\""));
  CHECK(has(complaint(R"({"prompt": [{"role": "user", "content": "hi"}], "answer": "b"})"),
            "a list of chat messages in \"prompt\""));
  CHECK(has(complaint(R"({"chosen": "a", "rejected": "b"})"), "pair of preferences"));
  CHECK(has(complaint(R"({"input_ids": [1, 2]})"), "set data.task to \"ids\""));
  CHECK(has(complaint(R"({"text": "once"})"), "set data.task to \"text\""));
  CHECK(has(complaint(R"({"data": [{"prompt": "a"}]})"), "Its list \"data\" holds objects"));
  CHECK(has(complaint("version https://git-lfs.github.com/spec/v1\n"), "git-lfs pointer"));
  CHECK(has(complaint("<!DOCTYPE html>\n"), "web page"));
  CHECK(has(complaint("{\n  \"prompt\": \"a\"\n}\n"), "goes on on the next line"));
  CHECK(has(complaint("{\"prompt\": \"a\",\n\"answer\": \"b\"}\n"), "goes on on the next line"));
  CHECK(recognised_record(nlohmann::json::parse(R"({"a": 1})")).empty());
  CHECK(has(
      refusal(Exit::data, [] { test::documents(file_of("d.jsonl", R"({"content": "x"})"), {}); }),
      "Name the right one in data.text_field"));
}

TEST_CASE("Every reader takes extremes of depth, length and number, or says where they are") {
  const Prompts prompts(test::source_dir() / "configs/prompts/superglue.json");
  std::vector<std::string> files;
  for (std::string const& open : {std::string("["), std::string("{\"a\":")}) {
    std::string deep;
    for (int i = 0; i < 300000; ++i) deep += open;
    files.push_back(deep);
    files.push_back("{\"prompt\": \"a\", \"answer\": " + deep);
    files.push_back("[{\"prompt\": \"a\", \"answer\": " + deep);
  }
  files.push_back("{\"prompt\": \"a\", \"answer\": " + std::string(300000, '[') +
                  std::string(300000, ']') + "}");
  for (std::string const& file : files) {
    const fs::path path = file_of("deep.jsonl", file);
    const auto refused = [&](auto&& read) {
      const std::string message = refusal(Exit::data, read);
      CHECK(has(message, "deep.jsonl:1:"));
      CHECK(has(message, "nested more than 64 levels deep"));
      CHECK(message.size() < 300);
    };
    refused([&] { test::jsonl(path, {}); });
    refused([&] { test::ids(path, 0); });
    refused([&] { test::documents(path, {}); });
    for (int task = 0; task < 8; ++task) {
      refused([&] { read_examples(static_cast<Task>(task), path, prompts); });
    }
  }
  const std::string big(8 << 20, 'x');
  CHECK(test::jsonl(file_of("x.jsonl", "{\"prompt\": \"" + big + "\", \"answer\": 1}"), {})
            .front()
            .prompt.size() == big.size());
  CHECK(complaint("{\"prompt\": [\"" + big + "\"], \"answer\": 1}").size() < 300);
  CHECK(complaint("{\"prompt\": \"a\", \"answer\": \"" + big).size() < 300);
  CHECK(complaint(big).size() < 300);
  CHECK(complaint("{\"" + big + "\": 1}").size() < 300);
  CHECK(
      has(complaint(R"({"prompt": 1e999, "answer": 1})"), "x.jsonl:1:17: not valid JSON: number"));
  CHECK(has(complaint(kGood + "\n" + R"({"answer": 1, "prompt": 2, "answer": -1e400})"),
            "x.jsonl:2:"));
  CHECK(has(
      refusal(Exit::data,
              [] { test::ids(file_of("n.jsonl", "{\"ids\": [1, 99999999999999999999999]}"), 0); }),
      "which is no token id"));
}

TEST_CASE("a field that stands twice in a record is refused, in what is not read it is not") {
  CHECK(has(complaint(R"({"prompt": "a", "answer": "b", "prompt": "c"})"),
            "the key \"prompt\" is there twice"));
  CHECK(has(complaint(kGood + "\n" + R"({"prompt": "a", "answer": "b", "answer": "b"})"),
            "x.jsonl:2:39: the key \"answer\" is there twice"));
  CHECK(has(complaint("[" + kGood + ",\n" + R"({"prompt": "a", "x": 1, "x": 1, "answer": "b"}])"),
            "x.jsonl:2:27: the key \"x\" is there twice"));
  const auto read = test::jsonl(
      file_of("x.jsonl", R"({"prompt": "a", "answer": "b", "meta": {"k": 1, "k": 2}})"), {});
  CHECK(read.size() == 1);
}

TEST_CASE("NUL bytes, marks, line ends, other encodings, empty files and folders") {
  CHECK(test::jsonl(file_of("x.jsonl", "\xEF\xBB\xBF\r\n" + kGood + "\r\n\r\n"), {}).size() == 1);
  CHECK(has(complaint(std::string("{\"prompt\": \0}", 13)), "x.jsonl:1:12: not valid JSON"));
  CHECK(has(complaint(std::string("{\"prompt\": \"a\0\"}", 16)), "x.jsonl:1:14: not valid JSON"));
  CHECK(has(complaint(kGood + "\n\xff\xfe"), "x.jsonl:2: not UTF-8 at byte 1"));
  CHECK(has(complaint(std::string("\xff\xfe{\0", 4)), "this is UTF-16"));
  CHECK(has(complaint("[" + kGood + ",\n\xC3\x28]"), "x.jsonl:2: not UTF-8 at byte 1"));
  for (char const* empty : {"", "\n", "\r\n \t\n", "\xEF\xBB\xBF"}) {
    CHECK(has(complaint(empty), "x.jsonl: holds no records"));
  }
  const fs::path folder = test::scratch("a_folder");
  test::write_file(folder / "train.jsonl", kGood);
  CHECK(has(refusal(Exit::data, [&] { test::jsonl(folder, {}); }), "is a folder"));
  CHECK(has(refusal(Exit::data, [&] { test::jsonl(folder / "trian.jsonl", {}); }),
            "did you mean " + (folder / "train.jsonl").string() + "?"));
  CHECK(has(refusal(Exit::data, [&] { test::jsonl(folder / "no/x.jsonl", {}); }),
            "there is no folder " + (folder / "no").string()));
  CHECK(test::documents(file_of("nul.txt", std::string("a\0b", 3)), {}).front().text.size() == 3);
}
