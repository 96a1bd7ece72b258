#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/tokenizer.h"
#include "support/data.h"

using namespace lomo;
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

TEST_CASE("Special ids come from the folder's files before the model's own") {
  LOMO_NEEDS_DATA();
  const fs::path folder = scratch("special");
  fs::copy_file(test::data_dir() / "checkpoints/stories260K/tok512.model",
                folder / "tokenizer.model");
  CHECK(Tokenizer(folder).eos() == 2);
  write_file(folder / "config.json", R"({"bos_token_id": 5, "eos_token_id": 6})");
  CHECK(Tokenizer(folder).bos() == 5);
  CHECK(Tokenizer(folder).eos() == 6);
  write_file(folder / "tokenizer_config.json",
             R"({"bos_token": {"content": "<s>"}, "eos_token": "<|added|>"})");
  CHECK(Tokenizer(folder).bos() == 1);
  CHECK(Tokenizer(folder).eos() == 6);
  write_file(folder / "generation_config.json",
             R"({"bos_token_id": null, "eos_token_id": [9, 2]})");
  CHECK(Tokenizer(folder).bos() == 1);
  CHECK(Tokenizer(folder).eos() == 9);
  write_file(folder / "generation_config.json", R"({"eos_token_id": "two"})");
  CHECK(refusal(folder).find("generation_config.json: /eos_token_id") != std::string::npos);
  write_file(folder / "generation_config.json", R"({"eos_token_id": )");
  CHECK(refusal(folder).find("not valid JSON") != std::string::npos);
}

TEST_CASE("Folders without a sentencepiece model are refused with what to do") {
  const fs::path folder = scratch("none");
  CHECK(refusal(folder).find("no tokenizer.model") != std::string::npos);
  CHECK(refusal(folder / "nowhere").find("no such model folder") != std::string::npos);
  write_file(folder / "tokenizer.json", "{}");
  const std::string message = refusal(folder);
  CHECK(message.find("Llama 3") != std::string::npos);
  CHECK(message.find("\"ids\"") != std::string::npos);
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
