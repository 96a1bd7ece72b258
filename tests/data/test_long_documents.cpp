#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/encoded.h"
#include "data/small_tokenizer.h"
#include "data/support.h"
#include "lomo/core/random.h"
#include "lomo/data/encode.h"
#include "support/data.h"
#include "support/source_dir.h"
#include "tokenizers/match_shape.h"
#include "tokenizers/regex.h"
#include "tokenizers/unicode.h"

using namespace lomo;
namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

namespace {

constexpr std::int64_t kMaxLength = 50;

std::vector<std::string> texts_of(fs::path const& expected) {
  std::ifstream in(expected);
  REQUIRE(in);
  std::vector<std::string> texts;
  for (std::string line; std::getline(in, line);) {
    texts.push_back(nlohmann::json::parse(line)["text"].get<std::string>());
  }
  return texts;
}

/// Places at which a text may be cut.
std::vector<std::size_t> places(Tokenizer const& tokenizer, std::string const& text) {
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t before = at;
    const char32_t left = tokenizers::next_character(text, at);
    std::size_t behind = at;
    if (before == text.size() || behind >= text.size()) break;
    const char32_t right = tokenizers::next_character(text, behind);
    if (tokenizer.may_cut(left, right)) found.push_back(at);
  }
  return found;
}

/// Cuts a text at each place where that is allowed.
std::size_t check_each_place(Tokenizer const& tokenizer, std::string const& given) {
  const std::string text = tokenizers::repaired_utf8(given);
  const Ids whole = tokenizer.encode(text);
  const std::vector<std::size_t> cuts = places(tokenizer, text);
  for (const std::size_t at : cuts) {
    Ids ids = tokenizer.encode(text.substr(0, at));
    const std::size_t left = tokenizers::last_character(text, at);
    const Ids behind = tokenizer.encode_behind(text.substr(left), at - left);
    ids.insert(ids.end(), behind.begin(), behind.end());
    if (ids != whole) {
      CAPTURE(text, at);
      REQUIRE(ids == whole);
    }
  }
  return cuts.size();
}

/// The document whole and in parts, in memory and in files.
void check_parts(Tokenizer const& tokenizer, std::string const& text) {
  const Document document{text, "long.txt:1"};
  DatasetWriter writer;
  writer.append(encode_documents(tokenizer, std::vector<Document>(1, document), kMaxLength), 3);
  const Dataset whole = writer.finish();
  for (const std::size_t part : {7, 100, 5000}) {
    CAPTURE(part);
    const fs::path folder = test::scratch("parts");
    DatasetWriter memory, files(folder, "train");
    encode_long_document(tokenizer, document, kMaxLength, 3, 1, memory, part);
    encode_long_document(tokenizer, document, kMaxLength, 3, 1, files, part);
    for (Dataset const& data : {memory.finish(), files.finish()}) {
      CHECK(facts_of(data).content_hash == facts_of(whole).content_hash);
      CHECK(facts_of(data).files_hash == facts_of(whole).files_hash);
      CHECK(data.tokens() == whole.tokens());
      CHECK(data.largest_id() == whole.largest_id());
      CHECK(data.where(data.size() - 1) == "long.txt:1");
      CHECK(data.item(0) == 3);
      CHECK(data.statistics.unknown_ids == whole.statistics.unknown_ids);
      CHECK(data.statistics.special_text_counts == whole.statistics.special_text_counts);
      CHECK(data.statistics.special_texts.count == whole.statistics.special_texts.count);
    }
  }
}

/// Words, runs of spaces and line ends, numbers, marks and what else texts mix, at random.
std::string mixed(std::size_t count, std::uint64_t seed) {
  static const std::vector<std::string> kParts = {"the",
                                                  "Dog",
                                                  "saw",
                                                  "’s",
                                                  "'ll",
                                                  " ",
                                                  " ",
                                                  " ",
                                                  "  ",
                                                  "\n",
                                                  "\n\n",
                                                  "\t",
                                                  "\r",
                                                  "12",
                                                  "3456",
                                                  ".",
                                                  ",",
                                                  "!?",
                                                  "e\xCC\x81",
                                                  "é",
                                                  "\xCC\x88",
                                                  "你好",
                                                  "。",
                                                  "，",
                                                  "ка",
                                                  "ア",
                                                  "\xE3\x82\x99",
                                                  "🙂",
                                                  "\xE2\x96\x81",
                                                  "<s>",
                                                  "</s>",
                                                  "a",
                                                  "\xC2\xA0",
                                                  "<|im_end|>",
                                                  "_",
                                                  "-",
                                                  "=",
                                                  "\xCC\xB8",
                                                  "ﬁ",
                                                  "\xE1\x84\x80",
                                                  "\xE1\x85\xA1"};
  RandomStream random(random_key(seed, "mixed", "", 0));
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += kParts[random.below(kParts.size())];
  return text;
}

void check_tokenizer(fs::path const& file, std::vector<std::string> const& texts, bool cuts) {
  CAPTURE(file.string());
  for (const bool special : {false, true}) {
    const Tokenizer tokenizer(file, {.parse_special = special});
    std::size_t count = 0;
    std::string all;
    for (std::string const& text : texts) {
      if (text.size() < 300) count += check_each_place(tokenizer, text);
      all += text + (all.size() % 2 == 0 ? " " : "\n");
    }
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      count += check_each_place(tokenizer, mixed(30, seed));
    }
    CHECK((count > 500) == cuts);
    check_parts(tokenizer, tokenizers::repaired_utf8(all) + mixed(2000, 1));
  }
}

}  // namespace

TEST_CASE("A text may be cut where its ids stay the same") {
  const fs::path folder = test::source_dir() / "tests" / "fixtures" / "tokenizers";
  for (std::string const name :
       {"gpt2_bytes", "metaspace", "prepend", "split_bytes", "behaviors", "unknowns"}) {
    // The last one's normalizer replaces what a pattern finds, which may reach over any place.
    check_tokenizer(folder / name / "tokenizer.json", texts_of(folder / name / "expected.jsonl"),
                    name != "unknowns");
  }
  const std::string text = "The dog saw the cat. The cat saw the dog and ran </s> to the river.\n";
  std::size_t count = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    count += check_each_place(test::small(), text + mixed(30, seed));
  }
  CHECK(count > 500);
  check_parts(test::small(), text + mixed(3000, 2) + text);
}

TEST_CASE("Texts of real tokenizers may be cut where their ids stay the same") {
  LOMO_NEEDS_DATA();
  const fs::path folder = test::data_dir() / "tokenizers";
  struct Case {
    char const *name, *file;
    bool cuts;
  };
  // A unigram model sums scores from the start of a text; a table of characters may join some.
  for (Case const& c : {Case{"llama3-128k", "tokenizer.json", true},
                        {"qwen2-151k", "tokenizer.json", true},
                        {"smollm2-49k", "tokenizer.json", true},
                        {"phi2-50k", "tokenizer.json", true},
                        {"llama2-32k-json", "tokenizer.json", true},
                        {"phi3-32k-json", "tokenizer.json", true},
                        {"llama2-32k", "tokenizer.model", true},
                        {"mistral-v1-32k", "tokenizer.model.v1", true},
                        {"openllama-3b-32k", "tokenizer.model", true},
                        {"sentencepiece-unigram-test", "test_model.model", false}}) {
    check_tokenizer(folder / c.name / c.file, texts_of(folder / c.name / "expected.jsonl"), c.cuts);
  }
}

TEST_CASE("What a pattern joins is known from its atoms") {
  using tokenizers::MatchShape;
  const auto shape = [](std::string const& pattern) {
    return MatchShape(tokenizers::pcre2_pattern(pattern, "here"));
  };
  const MatchShape llama3 = shape(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+");
  CHECK(llama3.may_cut(U'a', U' '));
  CHECK(llama3.may_cut(U'a', U'\n'));
  CHECK(llama3.may_cut(U'9', U'a'));
  CHECK_FALSE(llama3.may_cut(U'.', U'\n'));  // goes with it
  CHECK_FALSE(llama3.may_cut(U'a', U'b'));
  CHECK_FALSE(llama3.may_cut(U' ', U'a'));
  CHECK_FALSE(llama3.may_cut(U'\'', U'S'));  // in either case
  CHECK(llama3.begins_at(U' '));
  CHECK(llama3.begins_at(U'a'));
  CHECK_FALSE(shape("a\\s+(?!\\S)|\\s+(?=x)").begins_at(U' '));
  CHECK_FALSE(shape("ab|c").begins_at(U'a'));
  CHECK(shape("ab?|c").begins_at(U'a'));
  CHECK(shape("ab|c").may_cut(U'b', U'c'));
  CHECK_FALSE(shape("(?:ab?){2}").may_cut(U'b', U'a'));
  CHECK_FALSE(shape("a(?!b)").may_cut(U'a', U'c'));  // looks over the place
  // What is not analysed: anchors, look-behind, matches of nothing.
  for (char const* pattern : {"^a", "a$", "\\ba", "(?<=a)b", "(?>a)", "a*", "(?=ab)a"}) {
    CHECK_FALSE(shape(pattern).may_cut(U'x', U'y'));
  }
}

TEST_CASE("Documents of a plain text file are what lies between its separators") {
  const fs::path folder = test::scratch("plain");
  const auto read = [&](std::string const& bytes, std::string const& separator,
                        std::size_t long_document) {
    const fs::path file = test::write_file(folder / "a.txt", bytes);
    std::vector<std::string> found;
    read_documents(
        file, {separator, "text"},
        [&](Document const& d) {
          CHECK((d.file != nullptr) == (d.size() > long_document));
          const std::string text = d.file ? with_plain_lines(d.bytes) : d.text;
          found.push_back(d.where.substr(file.string().size()) + " " + text);
        },
        long_document);
    return found;
  };
  using List = std::vector<std::string>;
  for (const std::size_t long_document : {0, 1000}) {
    CHECK(read("one\ntwo\n", "", long_document) == List{":1 one\ntwo"});
    CHECK(read("\xEF\xBB\xBF\r\none\r\ntwo\r", "", long_document) == List{":2 one\ntwo"});
    CHECK(read("one\r\n\r\ntwo\n\n\nthree", "\n\n", long_document) ==
          List{":1 one", ":3 two", ":6 three"});
    CHECK(read("one\n--\ntwo\n--", "--\n", long_document) == List{":1 one", ":3 two"});
    CHECK(read("a<|end|>b<|end|>\n<|end|>\r\n", "<|end|>", long_document) == List{":1 a", ":1 b"});
    CHECK(read("a\r\rb\r\r\nc", "\r\n", long_document) == List{":1 a\r\rb\r", ":2 c"});
  }
  const std::string message = test::refusal(Exit::data, [&] { read("one\ntwo \xFF\n", "", 1000); });
  CHECK(test::has(message, "a.txt:2: not UTF-8 at byte 5 of the line"));
  CHECK(test::has(test::refusal(Exit::data, [&] { read("\n\n", "", 1000); }), "holds no records"));
}
