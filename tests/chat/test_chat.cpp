#include <fstream>

#include "chat/support.h"
#include "lomo/data/tokenizer.h"
#include "support/data.h"
#include "support/source_dir.h"

using namespace lomo;
using test::has;
using test::refusal;
using test::turn;
namespace fs = std::filesystem;

namespace {

OrderedJson tokens() {
  return {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
}

ChatTemplate chatml() {
  return {test::scratch("no_template"), "chatml", test::byte_tokenizer({})};
}

std::vector<std::string> marked_parts(MarkedText const& marked) {
  std::vector<std::string> parts;
  for (jinja::Span const& span : marked.loss) {
    parts.push_back(marked.text.substr(span.begin, span.end - span.begin));
  }
  return parts;
}

}  // namespace

TEST_CASE("Loss lies where rendered prefixes and transformers' mask have it") {
  std::ifstream in(test::source_dir() / "tests/fixtures/chat/marks.jsonl");
  int count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    const OrderedJson expected = OrderedJson::parse(line);
    INFO(line);
    const ChatTemplate chat(expected["template"].get<std::string>(), "t", tokens());
    const Tokenizer tokenizer =
        test::byte_tokenizer(expected["special"].get<std::vector<std::string>>());
    const MarkedText marked =
        mark_loss(chat, tokenizer, expected["messages"], nullptr, LossOn::all_answers);
    CHECK(marked.text == expected["text"].get<std::string>());
    OrderedJson spans = OrderedJson::array();
    for (jinja::Span const& span : marked.loss) {
      if (span.begin < span.end) spans.push_back({span.begin, span.end});
    }
    CHECK(spans == expected["loss"]);
  }
  CHECK(count == 70);
}

TEST_CASE("Built-in templates learn the answers and what ends them") {
  const OrderedJson messages = {turn("system", "Be kind."), turn("user", "Hi"),
                                turn("assistant", "Hello."), turn("user", "Bye"),
                                turn("assistant", "See you.")};
  const Tokenizer tokenizer = test::byte_tokenizer({"<s>", "</s>"});
  for (std::string const& name : builtin_chat_templates()) {
    INFO(name);
    const ChatTemplate chat(test::scratch("no_template"), name, tokenizer);
    const MarkedText all = mark_loss(chat, tokenizer, messages, nullptr, LossOn::all_answers);
    const auto parts = marked_parts(all);
    REQUIRE(parts.size() == 2);
    CHECK(has(parts[0], "Hello."));
    CHECK(has(parts[1], "See you."));
    CHECK(has(parts[1], ">"));  // the token that ends the turn
    CHECK_FALSE(has(parts[1], "Bye"));
    CHECK(has(all.text, "Be kind."));
    const auto last =
        marked_parts(mark_loss(chat, tokenizer, messages, nullptr, LossOn::last_answer));
    REQUIRE(last.size() == 1);
    CHECK(last[0] == parts[1]);
    // What generation begins with is what the answer follows in training.
    OrderedJson open = messages;
    open.erase(open.size() - 1);
    CHECK(chat.render(open, nullptr, true).text == all.text.substr(0, all.loss[1].begin));
  }
}

TEST_CASE("Conversations become sequences with the answers as targets") {
  const Tokenizer tokenizer = test::byte_tokenizer({"<|im_end|>"});
  Conversation one;
  one.messages = {turn("user", "2+2"), turn("assistant", "4"), turn("user", "3+3"),
                  turn("assistant", "6")};
  one.where = "a.jsonl:1";
  const std::vector<Conversation> all{one};
  CHECK(test::learnt(encode_conversations(chatml(), tokenizer, all, 0, LossOn::all_answers)[0]) ==
        "4#6#");
  CHECK(test::learnt(encode_conversations(chatml(), tokenizer, all, 0, LossOn::last_answer)[0]) ==
        "6#");
  const Dataset everything = encode_conversations(chatml(), tokenizer, all, 0, LossOn::everything);
  CHECK(everything.targets() == everything.tokens());
  CHECK(everything.where(0) == "a.jsonl:1");
  CHECK(data_warnings(everything.statistics, "training", 0, TooLong::error).empty());
}

TEST_CASE("A conversation that is too long loses whole turns, the earliest first") {
  const Tokenizer tokenizer = test::byte_tokenizer({"<|im_end|>"});
  Conversation one;
  one.messages = {turn("system", "S"),    turn("user", std::string(50, 'a')),
                  turn("assistant", "1"), turn("user", "b"),
                  turn("assistant", "2"), turn("user", "c"),
                  turn("assistant", "3"), turn("assistant", "4")};
  one.where = "a.jsonl:7";
  const std::vector<Conversation> all{one};
  const auto learnt = [&](std::int64_t max_length, ChatStatistics& report) {
    const Dataset data =
        encode_conversations(chatml(), tokenizer, all, max_length, LossOn::all_answers);
    for (std::size_t i = 0; i < data.size(); ++i) CHECK(data.length(i) <= max_length);
    report = data.statistics.chat;
    return data.empty() ? "none" : test::learnt(data[0]);
  };
  ChatStatistics whole, some, fewer, none;
  CHECK(learnt(1000, whole) == "1#2#3#4#");
  CHECK(whole.truncated == 0);
  CHECK(learnt(190, some) == "2#3#4#");
  CHECK(some.truncated == 1);
  CHECK(learnt(120, fewer) == "3#4#");
  CHECK(learnt(60, none) == "none");
  CHECK(none.too_long.count == 1);
  DataStatistics statistics;
  statistics.chat = none;
  const auto warnings = data_warnings(statistics, "training", 60, TooLong::error);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] ==
        "1 training conversation left out: the last turn alone is longer than data.max_length: "
        "a.jsonl:7");
}

TEST_CASE("What is ignored, rewritten or special inside of messages is counted") {
  const Tokenizer tokenizer = test::byte_tokenizer({"<|im_end|>"});
  Conversation one;
  one.where = "a.jsonl:1";
  one.messages = {turn("user", "<|im_end|>"), turn("assistant", "x")};
  one.messages[1]["reasoning_content"] = "because";
  one.tools = OrderedJson::array({OrderedJson::object()});
  Conversation unanswered;
  unanswered.where = "a.jsonl:2";
  unanswered.messages = {turn("user", "?")};
  const std::vector<Conversation> all{one, unanswered};
  const Dataset data = encode_conversations(chatml(), tokenizer, all, 0, LossOn::all_answers);
  ChatStatistics const& report = data.statistics.chat;
  CHECK(data.size() == 1);
  CHECK(report.special_tokens.count == 1);
  CHECK(data_warnings(data.statistics, "training", 0, TooLong::error)[1] ==
        "1 training special token inside of messages, read as tokens (\"<|im_end|>\" once): "
        "a.jsonl:1");
  CHECK(report.ignored_reasoning == 1);
  CHECK(report.ignored_tools == 1);
  CHECK(report.ignored_tool_calls == 0);
  CHECK(report.without_loss.count == 1);
  CHECK(report.without_loss.first == "a.jsonl:2");
  CHECK(data_warnings(data.statistics, "training", 0, TooLong::error).size() == 4);
}

TEST_CASE("A conversation that the template refuses is named") {
  Conversation one;
  one.where = "a.jsonl:3";
  one.messages = {turn("tool", "x")};
  const ChatTemplate chat(test::scratch("no_template"), "llama2", test::byte_tokenizer({}));
  const std::string message = refusal(Exit::data, [&] {
    encode_conversations(chat, test::byte_tokenizer({}), std::vector<Conversation>{one}, 0,
                         LossOn::all_answers);
  });
  CHECK(has(message, "a.jsonl:3: built-in llama2:"));
  CHECK(has(message, "the template says: llama2 knows the roles"));
}

TEST_CASE("Lists of text parts reach a template that reads them, else as one text") {
  Conversation one;
  one.messages = {
      {{"role", "user"},
       {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}},
      turn("assistant", "c")};
  const ChatTemplate reads(
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
      "{{ m.content | map(attribute='text') | join('+') }}{% endif %};{% endfor %}",
      "t", tokens());
  const std::vector<Conversation> all{one};
  const Tokenizer tokenizer = test::byte_tokenizer({});
  const auto text = [&](ChatTemplate const& chat) {
    return test::learnt(encode_conversations(chat, tokenizer, all, 0, LossOn::everything)[0]);
  };
  CHECK(text(reads) == "+b;c;");  // but for the first byte
  CHECK(has(text(chatml()), "user\nab"));
}

TEST_CASE("The template of a folder is found where it stands") {
  const fs::path folder = test::scratch("template");
  const Tokenizer tokenizer = test::byte_tokenizer({});
  const auto origin = [&] { return ChatTemplate(folder, "", tokenizer).origin(); };
  const auto text = [&](std::string const& choice) {
    return ChatTemplate(folder, choice, tokenizer)
        .render(OrderedJson::array(), nullptr, false)
        .text;
  };
  CHECK(has(refusal(Exit::data, origin), "has no chat template"));
  test::write_file(folder / "tokenizer_config.json",
                   R"({"chat_template": [{"name": "tool_use", "template": "x"}]})");
  CHECK(has(refusal(Exit::data, origin), "found \"tool_use\""));
  test::write_file(folder / "tokenizer_config.json",
                   R"({"chat_template": [{"name": "default", "template": "1"}]})");
  CHECK(text("") == "1");
  test::write_file(folder / "chat_template.json", R"({"chat_template": "2"})");
  CHECK(text("") == "2");
  test::write_file(folder / "chat_template.jinja", "3");
  CHECK(text("") == "3");
  CHECK(ChatTemplate(folder, "chatml", tokenizer).origin() == "built-in chatml");
  const fs::path own = test::write_file(folder / "own.jinja", "4");
  CHECK(text(own) == "4");
  CHECK(has(refusal(Exit::usage, [&] { text("chatlm"); }), "chatml, llama2"));
}

TEST_CASE("Templates find the special tokens that the tokenizer's files name") {
  const fs::path folder = test::scratch("template_tokens");
  const fs::path bytes = test::byte_tokenizer_file({"<B>", "<E>", "<A>"});
  fs::copy_file(bytes, folder / "tokenizer.json");
  const auto rendered = [&] {
    test::write_file(folder / "chat_template.jinja", "{{ bos_token }}|{{ eos_token }}");
    return ChatTemplate(folder, "", Tokenizer(folder))
        .render(OrderedJson::array(), nullptr, false)
        .text;
  };
  CHECK(rendered() == "|");
  // Ids that only the model's configs name are no tokens of the tokenizer, as for Qwen.
  test::write_file(folder / "generation_config.json", R"({"bos_token_id": 258})");
  CHECK(Tokenizer(folder).bos() == 258);
  CHECK(rendered() == "|");
  test::write_file(folder / "tokenizer_config.json",
                   R"({"bos_token": {"content": "<B>"}, "eos_token": "<E>"})");
  CHECK(rendered() == "<B>|<E>");
}
