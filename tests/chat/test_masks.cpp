#include <fstream>
#include <sstream>

#include "chat/support.h"
#include "support/data.h"
#include "support/environment.h"
#include "support/files.h"
#include "support/source_dir.h"

using namespace lomo;
namespace fs = std::filesystem;

namespace {

constexpr char const* kDay = "1796040000";  // 30 November 2026, of templates that print it

bool is_data(std::string const& name) {
  return name.starts_with("data:");
}

/// What a fixture names: a file of the data, or one in tests/fixtures.
fs::path named(std::string const& name) {
  if (is_data(name)) return test::data_dir() / name.substr(5);
  return test::source_dir() / "tests/fixtures" / name;
}

ChatTemplate template_of(std::string const& name, Tokenizer const& tokenizer) {
  if (is_data(name)) {
    return {fs::path(), (named(name) / "chat_template.jinja").string(), tokenizer};
  }
  return {name, "t", OrderedJson(tokenizer.template_tokens())};
}

/// Compares ids and marks of every line of which `wanted` is true; how many there were.
int compare(bool real) {
  std::ifstream in(test::source_dir() / "tests/fixtures/chat/masks.jsonl");
  std::map<std::string, Tokenizer> tokenizers;
  int count = 0;
  for (std::string line; std::getline(in, line);) {
    const OrderedJson expected = OrderedJson::parse(line);
    const auto name = expected["tokenizer"].get<std::string>();
    if (is_data(name) != real) continue;
    ++count;
    INFO(line);
    Tokenizer const& tokenizer = tokenizers.try_emplace(name, named(name)).first->second;
    const ChatTemplate chat = template_of(expected["template"].get<std::string>(), tokenizer);
    const Conversation conversation{expected["messages"], expected["tools"], "masks.jsonl"};
    const EncodedChat encoded = encode_chat(chat, tokenizer, conversation, LossOn::all_answers);
    std::string ids, loss;
    for (std::size_t i = 0; i < encoded.tokens.size(); ++i) {
      ids += (i == 0 ? "" : " ") + std::to_string(encoded.tokens[i].id);
      loss += encoded.loss[i] ? '1' : '0';
    }
    CHECK(ids == expected["ids"].get<std::string>());
    CHECK(loss == expected["loss"].get<std::string>());
    CHECK(loss.find('1') != std::string::npos);
  }
  return count;
}

}  // namespace

TEST_CASE("Ids of conversations and their loss are transformers', of small tokenizers") {
  CHECK(compare(false) == 88);
}

TEST_CASE("Ids of conversations and their loss are transformers', of real models' files") {
  LOMO_NEEDS_DATA();
  const test::Environment day(test::Variables{{"SOURCE_DATE_EPOCH", kDay}});
  CHECK(compare(true) == 78);
}
