#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "data/support.h"
#include "lomo/data/data_statistics.h"
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

/// Tokens with their places are those without, one behind the other, and what stands there in the
/// text is what they are, where the tokenizer does not rewrite it.
void check_places(Tokenizer const& tokenizer, std::string const& text,
                  std::vector<std::int32_t> const& ids) {
  if (std::string(text).find("\xEF\xBF\xBD") != std::string::npos) return;
  std::vector<std::int32_t> found;
  std::size_t at = 0;
  for (TokenSpan const& token : tokenizer.encode_with_offsets(text)) {
    found.push_back(token.id);
    CHECK(token.begin <= token.end);
    CHECK(token.end >= at);
    CHECK(token.end <= text.size());
    at = token.end;
    const std::string bytes = tokenizer.piece_text(token.id);
    std::string there = text.substr(token.begin, token.end - token.begin);
    // What a normalizer changed (accents, spaces, digits) is not compared; letters of ASCII are,
    // without regard to case.
    const auto ascii = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
    if (bytes.size() != there.size() || !std::ranges::all_of(bytes, ascii)) continue;
    std::ranges::transform(there, there.begin(), [](char c) { return std::tolower(c); });
    std::string lower = bytes;
    std::ranges::transform(lower, lower.begin(), [](char c) { return std::tolower(c); });
    CHECK(lower == there);
  }
  CHECK(found == ids);
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
    check_places(tokenizer, text, ids);
    std::vector<std::int32_t> whole = tokenizer.before();
    whole.insert(whole.end(), ids.begin(), ids.end());
    whole.insert(whole.end(), tokenizer.after().begin(), tokenizer.after().end());
    CHECK(whole == record["ids_with_special"].get<std::vector<std::int32_t>>());
    CHECK(tokenizer.decode(ids) == record["decoded"].get<std::string>());
  }
}

/// The smallest file that is read, with one part replaced.
nlohmann::json small(std::string const& place = "", nlohmann::json part = {}) {
  nlohmann::json json = {
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder", nullptr},
      {"model",
       {{"type", "BPE"},
        {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
        {"merges", nlohmann::json::array({nlohmann::json::array({"a", "b"})})}}}};
  if (!place.empty()) json[nlohmann::json::json_pointer(place)] = std::move(part);
  return json;
}

fs::path written(std::string const& bytes) {
  return test::write_file(test::scratch("json") / "tokenizer.json", bytes);
}

std::string refusal(std::string const& bytes) {
  const fs::path file = written(bytes);
  return test::refusal(Exit::data, [&] { const Tokenizer tokenizer(file); });
}

std::string refusal(char const* place, nlohmann::json part) {
  return refusal(small(place, std::move(part)).dump());
}

constexpr char const* kFixtures[] = {"split_bytes", "gpt2_bytes", "metaspace",
                                     "prepend",     "unknowns",   "behaviors"};

fs::path fixture(char const* name) {
  return test::source_dir() / "tests/fixtures/tokenizers" / name;
}

}  // namespace

TEST_CASE("Small tokenizer.json files of every kind give the ids and texts of Hugging Face's") {
  for (char const* name : kFixtures) {
    check_expected(fixture(name) / "tokenizer.json", fixture(name) / "expected.jsonl");
  }
}

TEST_CASE("Stages of a tokenizer.json that are not implemented are refused by name and place") {
  CHECK(Tokenizer(written(small().dump())).encode("abba") == std::vector<std::int32_t>{2, 1, 0});
  struct Case {
    char const* place;
    nlohmann::json part;
    char const* message;
  };
  for (Case const& c : std::initializer_list<Case>{
           {"/normalizer",
            {{"type", "Precompiled"}},
            "/normalizer/type: the normalizer \"Precompiled\" is not implemented"},
           {"/normalizer",
            {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Nmt"}}}}},
            "/normalizer/normalizers/1/type: the normalizer \"Nmt\""},
           {"/pre_tokenizer",
            {{"type", "UnicodeScripts"}},
            "/pre_tokenizer/type: the pre-tokenizer \"UnicodeScripts\""},
           {"/pre_tokenizer",
            {{"type", "Split"}, {"pattern", {{"Regex", "\\h+"}}}, {"behavior", "Isolated"}},
            "/pre_tokenizer/pattern/Regex: \"\\h\" is not implemented"},
           {"/pre_tokenizer",
            {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}},
            "the pattern cannot be used"},
           {"/pre_tokenizer", {{"type", "Digits"}, {"individual", true}}, "individual_digits"},
           {"/pre_tokenizer",
            {{"type", "Sequence"},
             {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}},
            "/pre_tokenizer/pretokenizers/1/type: a stage after ByteLevel"},
           {"/post_processor",
            {{"type", "RobertaProcessing"}},
            "the post-processor \"RobertaProcessing\""},
           {"/post_processor",
            {{"type", "TemplateProcessing"},
             {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
             {"special_tokens", nlohmann::json::object()}},
            "/post_processor/special_tokens/<s>: a token of /single that is not described"},
           {"/decoder", {{"type", "WordPiece"}}, "the decoder \"WordPiece\""},
           {"/model/type", "Unigram", "/model/type: the model \"Unigram\" is not implemented"},
           {"/model/dropout", 0.1, "/model/dropout"},
           {"/model/continuing_subword_prefix", "##", "/model/continuing_subword_prefix"},
           {"/model/unk_token", "<unk>", "/model/unk_token: \"<unk>\" is not in the vocabulary"},
           {"/model/surprise", 1, "surprise"},
           {"/model/vocab/c", "x", "/model/vocab/c"},
           {"/model/vocab/c", -1, "/model/vocab/c"},
           {"/model/vocab/c", 4000000000u, "/model/vocab/c: the id 4000000000"},
           {"/model/vocab/c", 1.5, "/model/vocab/c"},
           {"/model/vocab/c", 2, "is that of \"ab\" too"},
           {"/model/merges/0", "a b c", "/model/merges/0: must be two pieces"},
           {"/model/merges/0", {"a"}, "/model/merges/0"},
           {"/model/merges/0", {"b", "a"}, "/model/merges/0: \"ba\" is not in the vocabulary"},
           {"/added_tokens", {{{"id", 7}, {"content", "a"}}}, "\"a\" has the id 7, but 0"},
           {"/added_tokens", {{{"id", 1}, {"content", "<s>"}}}, "which is that of \"b\""}}) {
    INFO(c.place);
    const std::string message = refusal(c.place, c.part);
    CHECK(test::has(message, c.message));
    CHECK(test::has(message, "tokenizer.json"));
  }
}

TEST_CASE("A tokenizer.json that is damaged, deep or strange is refused or works") {
  CHECK(test::has(refusal(""), "not valid JSON"));
  CHECK(test::has(refusal("version https://git-lfs.github.com/spec/v1\n"), "not valid JSON"));
  CHECK(test::has(refusal("[]"), "tokenizer.json"));
  CHECK(test::has(refusal("{}"), "model"));
  CHECK(test::has(refusal(R"({"model": {"vocab": {"a": 0, "a": 1}}})"), "there twice"));
  CHECK(test::has(refusal(std::string(300000, '[')), "nested more than 64 levels"));
  std::string deep = R"({"normalizer": )";
  for (int i = 0; i < 100000; ++i) deep += R"({"a": )";
  CHECK(test::has(refusal(deep), "nested more than 64 levels"));

  std::ifstream in(fixture("gpt2_bytes") / "tokenizer.json", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  int refused = 0;
  for (std::size_t size = 0; size + 2 < whole.size(); size += 41) {
    refusal(whole.substr(0, size));
    ++refused;
  }
  CHECK(refused > 100);
}

TEST_CASE("Texts of any length and kind come back from byte-level ids") {
  const Tokenizer tokenizer(fixture("split_bytes") / "tokenizer.json");
  for (std::string const& text : {std::string(1 << 20, 'a'), std::string(1 << 20, ' '),
                                  std::string(300000, '\n'), std::string(100000, '\0')}) {
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
  CHECK(tokenizer.decode(tokenizer.encode("a\xFF\xC3")) == "a\xEF\xBF\xBD\xEF\xBF\xBD");
  const Tokenizer spaced(fixture("metaspace") / "tokenizer.json");
  const std::string lines(1 << 20, 'o');
  CHECK(spaced.decode(spaced.encode(lines)) == lines);
}

TEST_CASE("Many threads encode with one tokenizer") {
  for (char const* name : {"gpt2_bytes", "metaspace"}) {
    const Tokenizer tokenizer(fixture(name) / "tokenizer.json");
    const auto all = records(fixture(name) / "expected.jsonl");
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (int round = 0; round < 20; ++round) {
          for (nlohmann::json const& record : all) {
            const auto ids = tokenizer.encode(record["text"].get_ref<std::string const&>(), true);
            count += ids == record["ids"].get<std::vector<std::int32_t>>() ? 0 : 1;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(4, 0));
  }
}

TEST_CASE("Special tokens of a tokenizer.json are text unless they are asked for") {
  const fs::path folder = test::scratch("folder");
  fs::copy_file(fixture("split_bytes") / "tokenizer.json", folder / "tokenizer.json");
  const Tokenizer tokenizer(folder);
  const std::int32_t start = tokenizer.find("<s>");
  const std::string text = "<s>a<tool>";
  const auto as_text = tokenizer.encode(text);
  CHECK(std::count(as_text.begin(), as_text.end(), start) == 0);
  CHECK(as_text.back() == tokenizer.find("<tool>"));  // added, but not special
  CHECK(tokenizer.decode(as_text) == text);
  CHECK(tokenizer.encode(text, true).front() == start);
  CHECK(Tokenizer(folder, {.parse_special = true}).encode(text).front() == start);
  std::map<std::string, std::int64_t> counts;
  tokenizer.count_special("<s></s><s><tool>", counts);
  CHECK(special_list(counts) == "\"<s>\" 2 times, \"</s>\" once");

  // What tokenizer_config.json says of a token, and of what a text is given.
  test::write_file(folder / "tokenizer_config.json",
                   R"({"eos_token": "<tool>", "add_bos_token": false, "add_eos_token": false})");
  const Tokenizer told(folder);
  CHECK(told.before().empty());
  CHECK(told.after().empty());
  CHECK(told.closing() == std::vector<std::int32_t>{told.find("<tool>")});
  CHECK(told.encode(text).back() != told.find("<tool>"));
}

TEST_CASE("Ids without a token, and tokens without a row, are known") {
  auto json = small("/model/vocab/far", 9);
  const fs::path file = written(json.dump());
  const Tokenizer tokenizer(file);
  CHECK(tokenizer.size() == 10);
  CHECK(tokenizer.has(9));
  CHECK_FALSE(tokenizer.has(5));
  CHECK_THROWS_AS(tokenizer.decode({5}), Error);
  require_rows(tokenizer, 10, "folder");
  const std::string message =
      test::refusal(Exit::data, [&] { require_rows(tokenizer, 4, "folder"); });
  CHECK(test::has(message, "the first token beyond them is \"far\" (9)"));
}

TEST_CASE("A folder with both files is read when they agree, and else names a text") {
  LOMO_NEEDS_DATA();
  const fs::path data = test::data_dir() / "tokenizers";
  const fs::path folder = test::scratch("both");
  fs::copy_file(data / "llama2-32k/tokenizer.model", folder / "tokenizer.model");
  fs::copy_file(data / "llama2-32k-json/tokenizer.json", folder / "tokenizer.json");
  const std::string message = test::refusal(Exit::data, [&] { const Tokenizer t(folder); });
  CHECK(test::has(message, "differ on the text \"Two  spaces, three   spaces.\""));
  CHECK(test::has(message, "model.tokenizer"));
  CHECK(Tokenizer(folder, {.file = TokenizerFile::json}).file() == "tokenizer.json");
  CHECK(Tokenizer(folder, {.file = TokenizerFile::model}).file() == "tokenizer.model");

  // The same pieces and merges as transformers 4 wrote them.
  std::ifstream in(data / "phi3-32k-json/tokenizer.json");
  auto json = nlohmann::json::parse(in);
  test::write_file(folder / "tokenizer.json", json.dump());
  CHECK(Tokenizer(folder).file() == "tokenizer.json");
  json["normalizer"] = {{"type", "Nmt"}};
  test::write_file(folder / "tokenizer.json", json.dump());
  CHECK(test::has(test::refusal(Exit::data, [&] { const Tokenizer t(folder); }),
                  "\"model\" reads that one"));
}

TEST_CASE("Real tokenizer.json files give the ids and texts of Hugging Face's tokenizers") {
  LOMO_NEEDS_DATA();
  for (char const* name : {"llama3-128k", "qwen2-151k", "smollm2-49k", "llama2-32k-json",
                           "phi3-32k-json", "phi2-50k"}) {
    const fs::path folder = test::data_dir() / "tokenizers" / name;
    check_expected(folder / "tokenizer.json", folder / "expected.jsonl");
    check_expected(folder, folder / "expected.jsonl");
  }
}
