#include "chat/support.h"
#include "data/encoded.h"

using namespace lomo;
using test::has;
using test::refusal;
using test::turn;
namespace fs = std::filesystem;

namespace {

fs::path file_of(std::string const& name, std::string const& text) {
  static const fs::path folder = test::scratch("conversations");
  return test::write_file(folder / name, text);
}

OrderedJson messages_of(std::string const& record, ChatFormat format = ChatFormat::automatic) {
  const auto all = test::conversations(file_of("c.jsonl", record), format);
  REQUIRE(all.size() == 1);
  return all[0].messages;
}

std::string refused(std::string const& text, ChatFormat format = ChatFormat::automatic) {
  return refusal(Exit::data, [&] { test::conversations(file_of("c.jsonl", text), format); });
}

}  // namespace

TEST_CASE("The formats of chat data are recognised from the first record") {
  const OrderedJson two = {turn("user", "q"), turn("assistant", "a")};
  CHECK(messages_of(R"({"messages": [{"role": "user", "content": "q"},)"
                    R"({"role": "assistant", "content": "a"}]})") == two);
  CHECK(messages_of(R"({"conversations": [{"from": "human", "value": "q"},)"
                    R"({"from": "gpt", "value": "a"}]})") == two);
  CHECK(messages_of(R"({"instruction": "q", "output": "a"})") == two);
  CHECK(messages_of(R"({"prompt": "q", "completion": "a"})") == two);
  CHECK(messages_of(R"({"prompt": [{"role": "user", "content": "q"}],)"
                    R"("completion": [{"role": "assistant", "content": "a"}]})") == two);
  const OrderedJson four = {turn("system", "s"), turn("user", "1"), turn("assistant", "2"),
                            turn("user", "q\n\ni"), turn("assistant", "a")};
  CHECK(messages_of(R"({"instruction": "q", "input": "i", "output": "a", "system": "s",)"
                    R"("history": [["1", "2"]]})") == four);
  CHECK(messages_of(R"({"system": "s", "conversations": [{"from": "user", "value": "q"}]})") ==
        OrderedJson({turn("system", "s"), turn("user", "q")}));
  CHECK(messages_of(R"({"prompt": "q", "completion": "a", "messages": 3})",
                    ChatFormat::completion) == two);
}

TEST_CASE("Messages keep what templates read and lose what is null") {
  const OrderedJson messages = messages_of(
      R"({"messages": [{"role": "assistant", "content": null, "tool_calls": [{"z": 1, "a": 2}],)"
      R"("thinking": "t"}, {"role": "user", "content": [{"type": "text", "text": "x"}]}]})");
  CHECK(messages.dump() ==
        R"([{"role":"assistant","tool_calls":[{"z":1,"a":2}],"reasoning_content":"t"},)"
        R"({"role":"user","content":[{"type":"text","text":"x"}]}])");
  const auto tools =
      test::conversations(file_of("t.jsonl", R"({"messages": [{"role": "user", "content": "q"}],)"
                                             R"("tools": "[{\"name\": \"f\"}]"})"),
                          ChatFormat::automatic);
  CHECK(tools[0].tools.dump() == R"([{"name":"f"}])");
}

TEST_CASE("A file is one record a line or one list") {
  const std::string record = R"({"prompt": "q", "completion": "a"})";
  const auto lines =
      test::conversations(file_of("l.jsonl", record + "\r\n\n" + record), ChatFormat::automatic);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].where.ends_with("/l.jsonl:3"));
  const auto list = test::conversations(file_of("l.json", "\n [" + record + ",\n" + record + "]\n"),
                                        ChatFormat::automatic);
  REQUIRE(list.size() == 2);
  CHECK(list[1].where.ends_with("/l.json#2"));
}

TEST_CASE("What is no conversation is refused with its place") {
  CHECK(has(refused(R"({"text": "x", "id": 1})"),
            "c.jsonl:1: not a conversation: it has \"text\", \"id\""));
  CHECK(has(refused("{\"prompt\": \"q\", \"completion\": \"a\"}\n{\"prompt\": 1}"),
            "c.jsonl:2: field \"prompt\" must be a text, not 1"));
  CHECK(has(refused(R"({"messages": [{"content": "x"}]})"), "field \"messages/0/role\""));
  CHECK(has(refused(R"({"messages": [{"role": "user"}]})"),
            "field \"messages/0/content\" is missing"));
  CHECK(has(refused(R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})"),
            "only parts of text"));
  CHECK(has(refused(R"({"messages": [3]})"), "field \"messages/0\" must be an object, not 3"));
  CHECK(has(refused(R"({"messages": []})"), "has no messages"));
  CHECK(has(refused(R"({"conversations": [{"from": "martian", "value": "x"}]})"),
            "field \"conversations/0/from\" is \"martian\""));
  CHECK(has(refused(R"({"instruction": "q", "output": "a", "history": ["x"]})"), "pairs of texts"));
  CHECK(has(refused("[1]"), "must be one JSON object, not 1"));
  CHECK(has(refused("{\"messages\": "), "c.jsonl:1: not valid JSON at byte"));
  CHECK(has(refused("[{}"), "not valid JSON"));
  CHECK(has(refused(""), "holds no records"));
  CHECK(has(refused("[]"), "holds no records"));
}

TEST_CASE("Records nested 300,000 levels deep are refused") {
  const std::string open(300'000, '[');
  CHECK(has(refused(R"({"prompt": "a", "completion": )" + open), "64 levels deep"));
  CHECK(has(refused(open), "64 levels deep"));
  std::string objects;
  for (int i = 0; i < 300'000; ++i) objects += "{\"a\":";
  CHECK(has(refused(objects), "64 levels deep"));
}
