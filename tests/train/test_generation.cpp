#include "lomo/train/generation.h"

#include <filesystem>
#include <string>
#include <vector>

#include "bench.h"
#include "lomo/data/encode.h"
#include "lomo/data/train_tokenizer.h"
#include "lomo/train/evaluator.h"
#include "support/files.h"

using namespace lomo;

namespace {

/// Free answers on a tokenizer of the program's own making.
struct Asked {
  Asked() {
    const std::vector<std::string> texts = {
        "The dog saw the cat. The cat saw the dog and ran to the old house by the river.",
        "Answer: Yes", "Answer: No", "Is the answer Yes or No?"};
    train_tokenizer(texts, 330, folder / "t.model");
    tokenizer.emplace(folder / "t.model");
    for (std::string const& answer :
         {std::string("Yes"), std::string(200, 'x'), std::string("No"), std::string("the cat")}) {
      Example e;
      e.prompt = "The dog. Answer: ";
      e.passage_end = e.prompt.size();
      e.answer = answer;
      e.where = "x.jsonl:" + std::to_string(set.examples.size() + 1);
      set.examples.push_back(e);
    }
    set.data = encode_examples(*tokenizer, set.examples, {});
    set.tokenizer = &*tokenizer;
  }

  test::TemporaryFolder folder;
  std::optional<Tokenizer> tokenizer;
  EvalSet set;
};

}  // namespace

TEST_CASE("free answers: the first short ones, as many as asked for, on one rank") {
  const Asked asked;
  const auto all = free_answers(asked.set, {}, 1);
  REQUIRE(all.size() == 3);  // not the one of 200 letters
  CHECK(all[1].example == 2);
  CHECK(all[0].owed == " ");
  for (FreeAnswer const& free : all) {
    CHECK(free.lengths.prompt == static_cast<std::int64_t>(free.prompt.size()));
    // What an answer's first token does not take in stands before it.
    CHECK(asked.tokenizer->decode(free.prompt) + free.owed == "The dog. Answer: ");
    CHECK(free.lengths.total > free.lengths.prompt + 8);
  }
  EvalSection one;
  one.generate_examples = 1;
  CHECK(free_answers(asked.set, one, 1).size() == 1);
  one.generate_examples = 0;
  CHECK(free_answers(asked.set, one, 1).empty());
  CHECK(free_answers(asked.set, {}, 2).empty());
  CHECK(free_answers(EvalSet{}, {}, 1).empty());
}

TEST_CASE("of many lengths those are planned that no other covers") {
  std::vector<FreeAnswer> answers(5);
  answers[0].lengths = {10, 20};
  answers[1].lengths = {5, 30};
  answers[2].lengths = {10, 19};
  answers[3].lengths = {4, 30};
  answers[4].lengths = {12, 20};
  const auto worst = longest_of(answers);
  REQUIRE(worst.size() == 2);
  CHECK(worst[0] == GenerationLengths{5, 30});
  CHECK(worst[1] == GenerationLengths{12, 20});
  CHECK(longest_of({}).empty());
}

TEST_CASE("an evaluation writes answers, says how many are right, and keeps its losses") {
  const Asked asked;
  ModelConfig shape = test::tiny_config(false);
  shape.vocab = asked.tokenizer->size() + 40;  // more rows than pieces
  shape.context = 512;
  const auto backend = test::make_cpu(1);
  Llama model(*backend, shape, DType::f32);
  test::fill_weights(model, 3);
  const EvalReport report = evaluate(model, asked.set, {});
  CHECK(report.written.size() == 3);
  REQUIRE(report.metrics.size() == 3);
  CHECK(report.metrics[2].first == "exact_match");
  CHECK(report.summary().ends_with("of 3 answers written"));
  CHECK(report.losses.size() == 4);
  EvalSection none;
  none.generate_examples = 0;
  const EvalReport plain = evaluate(model, asked.set, none);
  CHECK(plain.metrics.size() == 2);
  CHECK(plain.metrics[0].second == report.metrics[0].second);
  write_predictions(asked.set, report, asked.folder.path() / "p");
  const std::string lines = test::slurp(asked.folder.path() / "p/predictions.jsonl");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 4);
}

TEST_CASE("an answer is right letter by letter, but for blanks around it") {
  CHECK(is_answer(" Yes\n", "Yes"));
  CHECK(is_answer("", "  "));
  CHECK_FALSE(is_answer("yes", "Yes"));
  CHECK_FALSE(is_answer("Yes.", "Yes"));
  CHECK_FALSE(is_answer("Y es", "Yes"));
}
