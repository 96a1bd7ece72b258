#include "lomo/train/generation.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "bench.h"
#include "lomo/data/encode.h"
#include "lomo/data/train_tokenizer.h"
#include "lomo/train/evaluator.h"
#include "support/files.h"
#include "support/thread_ranks.h"

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
    set.stops = tokenizer->stops();
  }

  test::TemporaryFolder folder;
  std::optional<Tokenizer> tokenizer;
  EvalSet set;
};

}  // namespace

TEST_CASE("free answers: the first short ones, as many as asked for") {
  const Asked asked;
  const auto all = free_answers(asked.set, {});
  REQUIRE(all.size() == 3);  // not the one of 200 letters
  CHECK(all[1].index == 2);
  CHECK(all[0].owed == " ");
  for (FreeAnswer const& free : all) {
    CHECK(free.lengths.prompt == static_cast<std::int64_t>(free.prompt.size()));
    // What an answer's first token does not take in stands before it.
    CHECK(asked.tokenizer->decode(free.prompt) + free.owed == "The dog. Answer: ");
    CHECK(free.lengths.total > free.lengths.prompt + 8);
  }
  EvalSection one;
  one.generate_examples = 1;
  CHECK(free_answers(asked.set, one).size() == 1);
  one.generate_examples = 0;
  CHECK(free_answers(asked.set, one).empty());
  CHECK(free_answers(EvalSet{}, {}).empty());
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
  Decoder model(*backend, shape, DType::f32);
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

TEST_CASE("ranks write the answers of one, whose number they need not divide") {
  const Asked asked;
  ModelConfig shape = test::tiny_config(false);
  shape.vocab = asked.tokenizer->size() + 41;  // more rows than pieces, in parts of two lengths
  shape.context = 512;
  for (const bool tied : {false, true}) {
    shape.tied_embeddings = tied;
    std::vector<EvalReport> alone;
    for (const int ranks : {1, 2, 3, 4}) {
      INFO(ranks << (tied ? ", tied" : ""));
      std::vector<EvalReport> reports(static_cast<std::size_t>(ranks));
      test::on_ranks(ranks, [&](Backend& backend, Communicator& communicator, int rank) {
        Decoder model(backend, shape, DType::f32, {}, communicator);
        test::fill_weights(model, 3);
        reports[static_cast<std::size_t>(rank)] = evaluate(model, asked.set, {});
      });
      if (ranks == 1) alone = reports;
      for (EvalReport const& report : reports) {
        CHECK(report.written == alone.front().written);
        REQUIRE(report.metrics.size() == 3);
        CHECK(report.metrics[2] == alone.front().metrics[2]);
      }
    }
    CHECK(alone.front().written.size() == 3);
    CHECK_FALSE(alone.front().written.begin()->second.empty());
  }
}

TEST_CASE("logits after each token are those of one rank, whatever the others write meanwhile") {
  const ModelConfig shape = test::tiny_config(false);
  const std::vector<std::vector<std::int32_t>> texts = {{1, 7, 7, 30}, {5}, {9, 2, 11, 4, 3, 8, 1}};
  const auto logits_of = [&](Decoder& model, std::vector<std::int32_t> const& text) {
    KeyValueCache cache = model.make_cache(32);
    std::vector<std::vector<float>> all{model.extend(cache, text)};
    for (const std::int32_t next : {3, 50, 99}) all.push_back(model.extend(cache, {next}));
    return all;
  };
  std::vector<std::vector<std::vector<float>>> expected;
  test::on_ranks(1, [&](Backend& backend, Communicator&, int) {
    Decoder model(backend, shape, DType::f32);
    test::fill_weights(model, 3);
    for (auto const& text : texts) expected.push_back(logits_of(model, text));
  });
  std::vector<std::vector<std::vector<float>>> found(3);
  test::on_ranks(3, [&](Backend& backend, Communicator& communicator, int rank) {
    Decoder model(backend, shape, DType::f32, {}, communicator);
    test::fill_weights(model, 3);
    const auto r = static_cast<std::size_t>(rank);
    found[r] = logits_of(model, texts[r]);
  });
  for (std::size_t r = 0; r < texts.size(); ++r) {
    for (std::size_t i = 0; i < expected[r].size(); ++i) {
      REQUIRE(found[r][i].size() == expected[r][i].size());
      double worst = 0;
      for (std::size_t v = 0; v < expected[r][i].size(); ++v) {
        const double apart = std::abs(static_cast<double>(found[r][i][v]) - expected[r][i][v]);
        worst = std::isnan(apart) ? apart : std::max(worst, apart);
      }
      CHECK(worst <= 1e-5);  // logits of size 1 after products of at most 100 terms
    }
  }
}

TEST_CASE("writing answers asks for a stop before each, and then there is no report") {
  const Asked asked;
  ModelConfig shape = test::tiny_config(false);
  shape.vocab = asked.tokenizer->size();
  shape.context = 512;
  for (const int ranks : {1, 2}) {
    // One batch is scored, then rounds of answers are begun: three alone, two of them by two ranks.
    const int rounds = ranks == 1 ? 3 : 2;
    for (int allowed = 0; allowed <= 1 + rounds; ++allowed) {
      INFO(ranks << " ranks, stop after " << allowed);
      std::vector<EvalReport> reports(static_cast<std::size_t>(ranks));
      std::vector<int> asks(static_cast<std::size_t>(ranks));
      test::on_ranks(ranks, [&](Backend& backend, Communicator& communicator, int rank) {
        Decoder model(backend, shape, DType::f32, {}, communicator);
        test::fill_weights(model, 3);
        const auto r = static_cast<std::size_t>(rank);
        reports[r] = evaluate(model, asked.set, {}, [&] { return ++asks[r] > allowed; });
      });
      for (std::size_t r = 0; r < reports.size(); ++r) {
        CHECK(asks[r] == std::min(allowed, rounds) + 1);
        CHECK(reports[r].stopped == (allowed < 1 + rounds));
        CHECK(reports[r].metrics.size() == (reports[r].stopped ? 0 : 3));
        CHECK(reports[r].written.size() == (reports[r].stopped ? 0 : 3));
        CHECK(reports[r].losses.size() == (reports[r].stopped ? 0 : 4));
      }
    }
  }
}

TEST_CASE("an answer is right letter by letter, but for blanks around it") {
  CHECK(is_answer(" Yes\n", "Yes"));
  CHECK(is_answer("", "  "));
  CHECK_FALSE(is_answer("yes", "Yes"));
  CHECK_FALSE(is_answer("Yes.", "Yes"));
  CHECK_FALSE(is_answer("Y es", "Yes"));
}
