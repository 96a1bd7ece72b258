// Entries of the cache are found by kEncodingVersion, among other things. What encoding makes of a
// few files is pinned here, so that it does not change without it.
#include <string>

#include "inputs_cache.h"
#include "lomo/io/hash.h"
#include "lomo/train/inputs.h"
#include "support/catch.h"
#include "support/files.h"

using namespace lomo;

namespace {

/// A byte-level tokenizer of what can be seen of ASCII, with a few merges and chatml's tokens.
std::string tokenizer_json() {
  Json vocab;
  const auto add = [&](std::string const& piece) { vocab[piece] = vocab.size(); };
  for (char c = '!'; c <= '~'; ++c) add(std::string(1, c));
  Json merges = Json::array();
  add("\u0120");  // a space
  add("\u010a");  // a newline
  for (auto const& [left, right] : {std::pair{"t", "h"},
                                    {"th", "e"},
                                    {"\u0120", "the"},
                                    {"c", "a"},
                                    {"ca", "t"},
                                    {"\u0120", "s"},
                                    {"\u0120s", "a"}}) {
    add(std::string(left) + right);
    merges.push_back({left, right});
  }
  Json added = Json::array();
  for (char const* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    added.push_back({{"id", vocab.size() + added.size()}, {"content", token}, {"special", true}});
  }
  return Json{{"added_tokens", added},
              {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
              {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}}
      .dump();
}

/// A hash of what becomes of `text`, read as `data` says.
std::string encoded(test::TemporaryFolder const& folder, std::string const& name,
                    std::string const& text, std::string const& data) {
  const std::string file = folder.put(name, text).string();
  const TrainConfig config = parse_config(
      Json::parse(R"({"model": {"path": ")" + folder.path().string() +
                  R"("}, "optimizer": {"lr": 0.01}, "data": {"cache": "off", )" + data +
                  R"(, "train": ")" + file + R"(", "validation": ")" + file + "\"}}"),
      "c.json");
  const Tokenizer tokenizer(folder.path());
  const Inputs inputs = load_inputs(config, &tokenizer, {}, {});
  CHECK(inputs.train.targets() > 0);
  return content_hash(inputs.train) + content_hash(inputs.eval.data);
}

}  // namespace

TEST_CASE("What encoding makes of files changes only with kEncodingVersion") {
  const test::TemporaryFolder folder;
  folder.put("tokenizer.json", tokenizer_json());
  folder.put("tokenizer_config.json", R"({"eos_token": "<|endoftext|>"})");
  Hasher hasher;
  hasher.add(encoded(folder, "a.txt", "The cat sat.\r\nOn the mat!\n\nThe <|im_end|> of the cat.\n",
                     R"("task": "text", "max_length": 7, "document_separator": "\n\n")"));
  hasher.add(encoded(folder, "b.jsonl",
                     R"({"prompt": "the cat or the dog sat on the mat: ", "answer": "the cat"})"
                     "\n"
                     R"({"prompt": "who? ", "answer": "a cat"})",
                     R"("task": "jsonl", "max_length": 24)"));
  hasher.add(encoded(folder, "c.jsonl",
                     R"({"messages": [{"role": "user", "content": "who sat?"},)"
                     R"({"role": "assistant", "content": "the cat"},)"
                     R"({"role": "user", "content": "where?"},)"
                     R"({"role": "assistant", "content": "on the mat"}]})",
                     R"("task": "chat", "template": "chatml", "max_length": 120)"));
  hasher.add(encoded(folder, "d.jsonl", R"({"ids": [1, 2, 3, 4, 5], "loss_from": 2})",
                     R"("task": "ids", "max_length": 3, "too_long": "cut")"));
  INFO(
      "The same files are encoded in another way than before. Raise kEncodingVersion in "
      "src/train/inputs_cache.h, or what earlier versions left in caches is used as if it were "
      "the same; then pin the new hash here.");
  CHECK(kEncodingVersion == 1);
  CHECK(hasher.text() == "0c8efb3413d22bbf");
}
