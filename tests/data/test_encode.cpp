#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "data/encoded.h"
#include "data/small_tokenizer.h"
#include "data/support.h"
#include "lomo/core/random.h"
#include "lomo/data/encode.h"
#include "lomo/data/tasks.h"
#include "support/data.h"
#include "support/source_dir.h"
#include "text.h"

using namespace lomo;
using test::has;
using test::refusal;
using test::small;
namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

namespace {

Example example_of(std::string const& passage, std::string const& rest) {
  Example e;
  e.prompt = "Q: " + passage + rest;
  e.passage_begin = 3;
  e.passage_end = 3 + passage.size();
  e.where = "some.jsonl:9";
  return e;
}

std::string text_of(EncodedAnswer const& encoded) {
  return small().decode(Ids(encoded.ids.begin() + 1, encoded.ids.end() - 1));
}

}  // namespace

TEST_CASE("Prompt and answer are encoded jointly, the loss is the answer's and eos's") {
  const Example e = example_of("The dog saw the cat.", "\nAnswer: ");
  const EncodedAnswer encoded = encode_answer(small(), e, "Yes", 0);
  Ids joint = small().encode(e.prompt + "Yes");
  CHECK(encoded.ids.front() == small().bos());
  CHECK(encoded.ids.back() == small().eos());
  CHECK(Ids(encoded.ids.begin() + 1, encoded.ids.end() - 1) == joint);
  CHECK_FALSE(encoded.truncated);
  // The prompt ends in a space of its own, which the answer's first token takes in: one id less
  // than the prompt's is without loss, as in the published code.
  CHECK(encoded.loss_from == 1 + small().encode(e.prompt).size() - 1);
  CHECK(small().decode(Ids(encoded.ids.begin() + static_cast<std::ptrdiff_t>(encoded.loss_from),
                           encoded.ids.end() - 1)) == "Yes");
}

TEST_CASE("The loss begins where prompt and joint ids part, whatever merges") {
  for (std::string const& end : {std::string("\nAnswer:"), std::string("\n"), std::string(" th")}) {
    const Example e = example_of("The dog.", end);
    const EncodedAnswer encoded = encode_answer(small(), e, "e cat", 0);
    const Ids alone = small().encode(e.prompt);
    REQUIRE(encoded.loss_from <= 1 + alone.size());
    for (std::size_t i = 1; i < encoded.loss_from; ++i) CHECK(encoded.ids[i] == alone[i - 1]);
    if (encoded.loss_from <= alone.size()) {
      CHECK(encoded.ids[encoded.loss_from] != alone[encoded.loss_from - 1]);
    }
  }
}

TEST_CASE("Truncation cuts the passage's start at a word and leaves the rest whole") {
  const Example e = example_of("The dog saw the cat. The cat saw the dog and ran.", "\nAnswer: ");
  const auto whole = static_cast<std::int64_t>(encode_answer(small(), e, "Yes", 0).ids.size()) - 1;
  CHECK_FALSE(encode_answer(small(), e, "Yes", whole).truncated);
  const EncodedAnswer cut = encode_answer(small(), e, "Yes", whole - 4);
  CHECK(cut.truncated);
  CHECK(static_cast<std::int64_t>(cut.ids.size()) <= whole - 4 + 1);
  const std::string text = text_of(cut);
  CHECK(text.starts_with("Q: "));
  CHECK(text.ends_with(" and ran.\nAnswer: Yes"));
  const std::string kept = text.substr(3);
  const std::size_t at = e.prompt.find(kept.substr(0, kept.size() - 3));
  REQUIRE(at != std::string::npos);
  CHECK(e.prompt[at - 1] == ' ');
}

TEST_CASE("Truncation never removes the answer, splits no character, keeps within the limit") {
  RandomStream random(random_key(1, "test", "truncation", 0));
  const std::vector<std::string> words = {"dog",
                                          "the ",
                                          "cat",
                                          " ",
                                          "\xC3\xA9t\xC3\xA9",
                                          "\n",
                                          "river",
                                          "42",
                                          "\xE4\xB8\xAD\xE6\x96\x87",
                                          "\xF0\x9F\x90\xB6",
                                          "."};
  int truncated = 0;
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    const auto some = [&](std::uint64_t maximum) {
      std::string text;
      for (std::uint64_t n = random.below(maximum); n > 0; --n) {
        text += words[random.below(words.size())];
      }
      return text;
    };
    Example e = example_of(some(40), some(6) + (random.below(2) == 0 ? "\nAnswer: " : ""));
    const std::string answer = "Yes" + some(4);
    const auto limit = static_cast<std::int64_t>(2 + random.below(60));
    CAPTURE(e.prompt, answer, limit);
    try {
      const EncodedAnswer encoded = encode_answer(small(), e, answer, limit);
      truncated += encoded.truncated ? 1 : 0;
      REQUIRE(static_cast<std::int64_t>(encoded.ids.size()) <= limit + 1);
      REQUIRE(encoded.ids.front() == small().bos());
      REQUIRE(encoded.ids.back() == small().eos());
      REQUIRE(encoded.loss_from >= 1);
      REQUIRE(encoded.loss_from < encoded.ids.size());
      const std::string text = text_of(encoded);
      REQUIRE_FALSE(invalid_utf8(text).has_value());
      REQUIRE(text.ends_with(answer));
    } catch (Error const& error) {
      ++refused;
      REQUIRE(error.code() == Exit::data);
      REQUIRE(has(error.what(), "some.jsonl:9: the answer alone"));
      // bos, the word boundary the tokenizer puts before a text, and the answer.
      REQUIRE(static_cast<std::int64_t>(small().encode(answer).size()) + 1 > limit);
    }
  }
  CHECK(truncated > 100);
  CHECK(refused > 5);
}

TEST_CASE("Text without spaces is cut too, at characters") {
  std::string passage;
  for (int i = 0; i < 100; ++i) passage += "\xE4\xB8\xAD\xE6\x96\x87";
  const Example e = example_of(passage, "\nAnswer: ");
  const auto whole = static_cast<std::int64_t>(encode_answer(small(), e, "Yes", 0).ids.size()) - 1;
  const EncodedAnswer cut = encode_answer(small(), e, "Yes", whole - 100);
  CHECK(cut.truncated);
  const std::string text = text_of(cut);
  CHECK_FALSE(invalid_utf8(text).has_value());
  // One step of a cut is 64 bytes at least, and 66 with whole characters.
  CHECK(text.size() + 100 + 66 + 8 > e.prompt.size() + 3);
}

TEST_CASE("Candidates share one prompt, cut for the longest of them") {
  Example e = example_of("The dog saw the cat. The cat saw the dog and ran.", "\nAnswer: ");
  e.candidates = {"No", "the old house by the river"};
  const auto whole = encode_answer(small(), e, e.candidates[1], 0).ids.size() - 1;
  const auto limit = static_cast<std::int64_t>(whole) - 4;
  CHECK_FALSE(encode_answer(small(), e, "No", limit).truncated);
  const auto encoded = encode_candidates(small(), e, limit);
  REQUIRE(encoded.size() == 2);
  CHECK(encoded[0].truncated);
  CHECK(encoded[1].truncated);
  CHECK(encoded[0].loss_from == encoded[1].loss_from);
  CHECK(std::equal(encoded[0].ids.begin(),
                   encoded[0].ids.begin() + static_cast<std::ptrdiff_t>(encoded[0].loss_from),
                   encoded[1].ids.begin()));
  CHECK(encoded[1].ids.size() <= whole - 4 + 1);
}

TEST_CASE("A data set keeps its order, its places and its count of cuts") {
  std::vector<Example> examples = {example_of("The dog.", "\nAnswer: "),
                                   example_of(std::string(300, 'x'), "\nAnswer: ")};
  examples[0].answer = "Yes";
  examples[1].answer = "No";
  const Dataset data = test::encoded(small(), examples, {64});
  CHECK(data.size() == 2);
  CHECK(data.truncated == 1);
  CHECK(data[1].tokens.size() <= 64);
  CHECK(data.where(1) == "some.jsonl:9");
  CHECK(data.targets() < data.tokens());
  CHECK(data[0].targets.back() == small().eos());
  examples[1].answer.clear();
  CHECK(has(refusal(Exit::data, [&] { test::encoded(small(), examples, {64}); }),
            "some.jsonl:9: no answer to train on"));
}

TEST_CASE("Documents become pieces that lose no target") {
  const std::vector<Document> documents = {{"The dog saw the cat and ran to the river.", "a:1"},
                                           {"No", "a:9"}};
  for (const std::int64_t max_length : {0, 1, 2, 3, 7, 1000}) {
    const Dataset data = encode_documents(small(), documents, max_length);
    Ids targets;
    for (const SequenceView s : data.all()) {
      if (max_length > 0) CHECK(static_cast<std::int64_t>(s.tokens.size()) <= max_length);
      CHECK_FALSE(s.tokens.empty());
      targets.insert(targets.end(), s.targets.begin(), s.targets.end());
    }
    Ids wanted;
    for (Document const& document : documents) {
      const Ids ids = small().encode(document.text);
      wanted.insert(wanted.end(), ids.begin(), ids.end());
      wanted.push_back(small().eos());
    }
    CHECK(targets == wanted);
    CHECK(data[0].tokens[0] == small().bos());
    CHECK(data.where(data.size() - 1) == "a:9");
  }
}

TEST_CASE("LLaMA's own tokenizer: the answer's token takes in the prompt's last space") {
  LOMO_NEEDS_DATA();
  const Prompts prompts(test::source_dir() / "configs/prompts/superglue.json");
  const fs::path data = test::data_dir();
  for (char const* model : {"llama2-32k", "openllama-3b-32k"}) {
    const Tokenizer tokenizer(data / "tokenizers" / model);
    const auto examples = read_examples(Task::boolq, data / "superglue/BoolQ/val.jsonl", prompts);
    std::int64_t cut = 0;
    for (std::size_t i = 0; i < 300; ++i) {
      Example const& e = examples[i];
      const EncodedAnswer encoded = encode_answer(tokenizer, e, e.answer, 128);
      cut += encoded.truncated ? 1 : 0;
      REQUIRE(encoded.ids.size() <= 129);
      REQUIRE(encoded.ids.size() - encoded.loss_from == 2);  // Yes or No, eos
      const Ids kept(encoded.ids.begin() + 1, encoded.ids.end() - 1);
      REQUIRE(tokenizer.decode(kept).ends_with("\nAnswer: " + e.answer));
    }
    CHECK(cut > 50);
    CHECK(cut < 300);
  }
}
