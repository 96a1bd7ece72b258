#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/tokenizer.h"
#include "support/data.h"

using namespace lomo;
using test::has;
using test::scratch;
using test::write_file;
namespace fs = std::filesystem;

namespace {

std::string read_all(fs::path const& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void check_expected(fs::path const& model, fs::path const& expected) {
  const Tokenizer tokenizer(model);
  std::ifstream in(expected);
  REQUIRE(in);
  int checked = 0;
  for (std::string line; std::getline(in, line); ++checked) {
    const auto record = nlohmann::json::parse(line);
    const auto text = record["text"].get<std::string>();
    const auto ids = record["ids"].get<std::vector<std::int32_t>>();
    CAPTURE(text);
    CHECK(tokenizer.encode(text) == ids);
    CHECK(tokenizer.decode(ids) == record["decoded"].get<std::string>());
  }
  CHECK(checked == 153);
}

std::string refusal(fs::path const& place) {
  return test::refusal(Exit::data, [&] { Tokenizer tokenizer(place); });
}

}  // namespace

TEST_CASE("Tokenizers give all expected ids and texts") {
  LOMO_NEEDS_DATA();
  const fs::path data = test::data_dir();
  const fs::path models = data / "tokenizers";
  check_expected(models / "llama2-32k", models / "llama2-32k/expected.jsonl");
  check_expected(models / "openllama-3b-32k", models / "openllama-3b-32k/expected.jsonl");
  check_expected(models / "mistral-v1-32k/tokenizer.model.v1",
                 models / "mistral-v1-32k/expected.jsonl");
  check_expected(models / "sentencepiece-unigram-test/test_model.model",
                 models / "sentencepiece-unigram-test/expected.jsonl");
  check_expected(data / "checkpoints/stories260K/hf",
                 data / "checkpoints/stories260K/expected_tokens.jsonl");
}

TEST_CASE("The LLaMA tokenizer agrees with llama.cpp's test vectors") {
  LOMO_NEEDS_DATA();
  const fs::path folder = test::data_dir() / "tokenizers/llama2-32k";
  const Tokenizer tokenizer(folder);
  CHECK(tokenizer.size() == 32000);
  CHECK(tokenizer.bos() == 1);
  CHECK(tokenizer.eos() == 2);
  const std::string texts = read_all(folder / "ggml-vocab-llama-spm.gguf.inp");
  std::ifstream ids_file(folder / "ggml-vocab-llama-spm.gguf.out");
  const std::string bar = "\n__ggml_vocab_test__\n";
  int checked = 0;
  for (std::size_t at = 0; at <= texts.size(); ++checked) {
    const std::size_t end = std::min(texts.find(bar, at), texts.size());
    std::string line;  // stays empty for the empty text at the end of the file
    std::getline(ids_file, line);
    std::istringstream numbers(line);
    std::vector<std::int32_t> ids;
    for (std::int32_t id = 0; numbers >> id;) ids.push_back(id);
    CAPTURE(texts.substr(at, end - at));
    CHECK(tokenizer.encode(texts.substr(at, end - at)) == ids);
    at = end + bar.size();
  }
  CHECK(checked == 47);
}

TEST_CASE("The tokenizer's own files say what starts and ends a text before the model's do") {
  LOMO_NEEDS_DATA();
  const fs::path folder = scratch("special");
  fs::copy_file(test::data_dir() / "checkpoints/stories260K/tok512.model",
                folder / "tokenizer.model");
  CHECK(Tokenizer(folder).eos() == 2);
  CHECK(Tokenizer(folder).warnings().empty());

  // Old LLaMA conversions: the model's files name other ids than the tokenizer.
  write_file(folder / "config.json", R"({"bos_token_id": 5, "eos_token_id": 6})");
  write_file(folder / "generation_config.json", R"({"bos_token_id": 0, "eos_token_id": [1, 9]})");
  const Tokenizer contradicted(folder);
  CHECK(contradicted.before() == std::vector<std::int32_t>{1});
  CHECK(contradicted.closing() == std::vector<std::int32_t>{2});
  CHECK(contradicted.stops() == std::vector<std::int32_t>{2, 1, 9});
  REQUIRE(contradicted.warnings().size() == 2);
  CHECK(has(contradicted.warnings()[0],
            "generation_config.json says that texts start with <unk> (0), the tokenizer with <s> "
            "(1)"));
  CHECK(
      has(contradicted.warnings()[1], "end with <s> (1) and <0x06> (9), the tokenizer with </s>"));

  write_file(folder / "generation_config.json", R"({"eos_token_id": [9, 2]})");
  CHECK(Tokenizer(folder).closing() == std::vector<std::int32_t>{2});
  CHECK(Tokenizer(folder).stops() == std::vector<std::int32_t>{2, 9});

  write_file(folder / "tokenizer_config.json",
             R"({"bos_token": {"content": "</s>"}, "eos_token": "<|added|>"})");
  const Tokenizer named(folder);
  CHECK(named.bos() == 2);
  CHECK(named.eos() == 2);
  REQUIRE(!named.warnings().empty());
  CHECK(has(named.warnings()[0], "the eos_token \"<|added|>\" is no token of tokenizer.model"));
  write_file(folder / "added_tokens.json", R"({"<|added|>": 512})");
  CHECK(Tokenizer(folder).eos() == 512);
  CHECK(Tokenizer(folder).size() == 513);

  write_file(folder / "generation_config.json", R"({"eos_token_id": "two"})");
  CHECK(has(refusal(folder), "generation_config.json: /eos_token_id"));
  write_file(folder / "generation_config.json", R"({"eos_token_id": )");
  CHECK(has(refusal(folder), "not valid JSON"));
}

TEST_CASE("add_bos_token and add_eos_token decide what a text is given") {
  LOMO_NEEDS_DATA();
  const fs::path folder = scratch("add");
  fs::copy_file(test::data_dir() / "checkpoints/stories260K/tok512.model",
                folder / "tokenizer.model");
  write_file(folder / "tokenizer_config.json", R"({"add_bos_token": false})");
  CHECK(Tokenizer(folder).before().empty());
  CHECK(Tokenizer(folder).bos() == 1);
  CHECK(Tokenizer(folder).after().empty());
  CHECK(Tokenizer(folder).closing() == std::vector<std::int32_t>{2});  // learnt all the same
  write_file(folder / "tokenizer_config.json", R"({"add_bos_token": null, "add_eos_token": true})");
  CHECK(Tokenizer(folder).before() == std::vector<std::int32_t>{1});
  CHECK(Tokenizer(folder).after() == std::vector<std::int32_t>{2});
  CHECK(Tokenizer(folder).closing() == std::vector<std::int32_t>{2});
}

TEST_CASE("Special and added tokens in a text are text or tokens, as asked") {
  LOMO_NEEDS_DATA();
  const fs::path folder = scratch("parse");
  fs::copy_file(test::data_dir() / "tokenizers/llama2-32k/tokenizer.model",
                folder / "tokenizer.model");
  write_file(folder / "added_tokens.json", R"({"<|im_end|>": 32000, "<tool>": 32001})");
  write_file(folder / "tokenizer_config.json", R"({"eos_token": "<|im_end|>", "legacy": false})");
  const Tokenizer tokenizer(folder);
  const std::string text = "<s>[INST] q [/INST]<|im_end|>next";
  std::map<std::string, std::int64_t> counts;
  tokenizer.count_special(text, counts);
  CHECK(counts == std::map<std::string, std::int64_t>{{"<s>", 1}, {"<|im_end|>", 1}});

  const auto as_text = tokenizer.encode(text);
  CHECK(std::count(as_text.begin(), as_text.end(), 1) == 0);
  CHECK(std::count(as_text.begin(), as_text.end(), 32000) == 0);
  CHECK(tokenizer.decode(as_text) == text);
  const auto parsed = tokenizer.encode(text, true);
  CHECK(parsed.front() == 1);
  CHECK(std::count(parsed.begin(), parsed.end(), 32000) == 1);
  CHECK(tokenizer.piece(parsed.back()) == "next");  // no word boundary: legacy is false
  // What is added and not special is found in any case.
  const auto tool = tokenizer.encode("a<tool>b");
  CHECK(std::count(tool.begin(), tool.end(), 32001) == 1);

  write_file(folder / "tokenizer_config.json", R"({"eos_token": "<|im_end|>"})");
  const auto legacy = Tokenizer(folder, {.parse_special = true}).encode(text);
  CHECK(Tokenizer(folder).piece(legacy.back()) == "\xE2\x96\x81next");

  write_file(folder / "added_tokens.json", R"({"<tool>": 5})");
  CHECK(has(refusal(folder), "\"<tool>\" has the id 5, which is that of \"<0x02>\""));
}

TEST_CASE("Folders without a tokenizer are refused with what to do") {
  const fs::path folder = scratch("none");
  const std::string message = refusal(folder);
  CHECK(has(message, "no tokenizer.json and no tokenizer.model"));
  CHECK(has(message, "\"ids\""));
  CHECK(has(refusal(folder / "nowhere"), "no such model folder"));
}

TEST_CASE("Damaged tokenizer models are refused at every length") {
  const fs::path folder = scratch("damaged");
  write_file(folder / "tokenizer.model", "");
  CHECK(refusal(folder).find("fetch the file again") != std::string::npos);
  write_file(folder / "tokenizer.model",
             "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  CHECK(refusal(folder).find("tokenizer.model") != std::string::npos);
  LOMO_NEEDS_DATA();
  const std::string whole = read_all(test::data_dir() / "checkpoints/stories260K/tok512.model");
  int refused = 0;
  for (std::size_t size = 1; size < whole.size(); size += 61) {
    write_file(folder / "tokenizer.model", whole.substr(0, size));
    refusal(folder);
    ++refused;
  }
  CHECK(refused > 100);
}

TEST_CASE("Ids that are no piece cannot be decoded") {
  LOMO_NEEDS_DATA();
  const Tokenizer tokenizer(test::data_dir() / "checkpoints/stories260K/hf");
  CHECK_THROWS_AS(tokenizer.decode({3, 512}), Error);
  CHECK_THROWS_AS(tokenizer.decode({-1}), Error);
}
