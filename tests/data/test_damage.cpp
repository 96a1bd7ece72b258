#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "data/support.h"
#include "lomo/core/random.h"
#include "lomo/data/readers.h"
#include "lomo/data/tasks.h"
#include "lomo/data/tokenizer.h"
#include "lomo/data/train_tokenizer.h"
#include "support/source_dir.h"

using namespace lomo;
namespace fs = std::filesystem;

namespace {

std::vector<std::pair<Task, std::string>> const& records() {
  static const std::vector<std::pair<Task, std::string>> all = {
      {Task::boolq, R"({"question": "q", "passage": "A b.", "idx": 0, "label": true})"},
      {Task::cb, R"({"premise": "p", "hypothesis": "h", "label": "neutral", "idx": 0})"},
      {Task::copa, R"({"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", )"
                   R"("label": 1, "idx": 2})"},
      {Task::multirc,
       R"({"idx": 3, "passage": {"text": "P.", "questions": [{"idx": 8, )"
       R"("question": "Why?", "answers": [{"text": "a", "idx": 20, "label": 0}]}]}})"},
      {Task::record, R"({"idx": 0, "passage": {"text": "Al met Bo", "entities": [{"start": 0, )"
                     R"("end": 1}, {"start": 7, "end": 8}]}, "qas": [{"idx": 5, "query": )"
                     R"("@placeholder", "answers": [{"start": 0, "end": 1, "text": "Al"}]}]})"},
      {Task::wic, R"({"word": "w", "sentence1": "a", "sentence2": "b", "idx": 0, "label": false})"},
      {Task::wsc, R"({"text": "t", "target": {"span1_text": "a", "span2_text": "b"}, "idx": 7})"},
  };
  return all;
}

/// One to three bytes changed, left out or put in.
std::string damaged(std::string text, RandomStream& random) {
  for (std::uint64_t left = 1 + random.below(3); left > 0 && !text.empty(); --left) {
    const std::size_t at = random.below(text.size());
    const char byte = random.below(3) == 0 ? static_cast<char>(random.below(256))
                                           : "{}[]\",:-09et\\\n"[random.below(14)];
    switch (random.below(3)) {
      case 0:
        text[at] = byte;
        break;
      case 1:
        text.erase(at, 1 + random.below(4));
        break;
      default:
        text.insert(at, 1, byte);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("Damaged records give an error that names the line, or still read") {
  const Prompts prompts(test::source_dir() / "configs/prompts/superglue.json");
  const fs::path file = test::scratch("damage") / "x.jsonl";
  RandomStream random(random_key(11, "test", "damage", 0));
  int refused = 0;
  for (auto const& [task, record] : records()) {
    test::write_file(file, record);
    REQUIRE(read_examples(task, file, prompts).size() == 1);
    for (int round = 0; round < 300; ++round) {
      const std::string bytes = damaged(record, random);
      test::write_file(file, bytes);
      CAPTURE(bytes);
      try {
        read_examples(task, file, prompts);
      } catch (Error const& error) {
        ++refused;
        REQUIRE(error.code() == Exit::data);
        REQUIRE(test::has(error.what(), "x.jsonl:"));  // a line, or no records at all
      }
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("Damaged tokenizers are refused or work; nothing else happens") {
  const fs::path folder = test::scratch("damaged_model");
  const std::vector<std::string> texts = {"The dog saw the cat and ran to the old house."};
  train_tokenizer(texts, 300, folder / "whole.model");
  std::ifstream in(folder / "whole.model", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  RandomStream random(random_key(12, "test", "damage", 0));
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    std::string bytes = whole;
    bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
    if (round % 2 == 0) bytes.resize(random.below(bytes.size()));
    test::write_file(folder / "x.model", bytes);
    try {
      const Tokenizer tokenizer(folder / "x.model");
      tokenizer.encode("The cat ran, \xC3\xA9t\xC3\xA9.");
    } catch (Error const& error) {
      ++refused;
      REQUIRE(error.code() == Exit::data);
    }
  }
  CHECK(refused >= 250);
}
