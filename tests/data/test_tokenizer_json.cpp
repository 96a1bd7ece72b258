#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "data/support.h"
#include "lomo/data/tokenizer.h"
#include "support/data.h"
#include "support/source_dir.h"

using namespace lomo;
namespace fs = std::filesystem;

namespace {

std::vector<nlohmann::json> records(fs::path const& file) {
  std::ifstream in(file);
  REQUIRE(in);
  std::vector<nlohmann::json> all;
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

/// Every text of an expected.jsonl that Hugging Face's tokenizers wrote.
void check_expected(fs::path const& tokenizer_file, fs::path const& expected) {
  const Tokenizer tokenizer(tokenizer_file);
  CAPTURE(tokenizer_file.string());
  for (nlohmann::json const& record : records(expected)) {
    const auto text = record["text"].get<std::string>();
    const auto ids = record["ids"].get<std::vector<std::int32_t>>();
    CAPTURE(text);
    CHECK(tokenizer.encode(text, true) == ids);
    std::vector<std::int32_t> whole = tokenizer.before();
    whole.insert(whole.end(), ids.begin(), ids.end());
    whole.insert(whole.end(), tokenizer.after().begin(), tokenizer.after().end());
    CHECK(whole == record["ids_with_special"].get<std::vector<std::int32_t>>());
    CHECK(tokenizer.decode(ids) == record["decoded"].get<std::string>());
  }
}

}  // namespace

TEST_CASE("Real tokenizer.json files give the ids and texts of Hugging Face's tokenizers") {
  LOMO_NEEDS_DATA();
  for (char const* name : {"llama3-128k", "qwen2-151k", "smollm2-49k", "llama2-32k-json",
                           "phi3-32k-json", "phi2-50k"}) {
    const fs::path folder = test::data_dir() / "tokenizers" / name;
    check_expected(folder / "tokenizer.json", folder / "expected.jsonl");
    check_expected(folder, folder / "expected.jsonl");
  }
}
