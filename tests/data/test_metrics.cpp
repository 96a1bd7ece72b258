#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/metrics.h"

using namespace lomo;
using test::has;
using test::refusal;
using Ints = std::vector<std::int64_t>;

namespace {

std::vector<Example> with_gold(Ints const& golds, std::size_t candidates) {
  std::vector<Example> examples;
  for (std::size_t i = 0; i < golds.size(); ++i) {
    Example e;
    e.id = std::to_string(10 + i);
    e.gold = golds[i];
    e.candidates.resize(candidates, "word");
    examples.push_back(e);
  }
  return examples;
}

double value(TaskScore const& score, std::string const& name) {
  for (TaskScore::Value const& one : score.values) {
    if (one.name == name) return one.value;
  }
  return std::numeric_limits<double>::quiet_NaN();  // fails every comparison
}

std::string written(Task task, std::vector<Example> const& examples, Ints const& predictions) {
  const auto file = test::scratch("predictions") / prediction_file_name(task);
  write_predictions(file, task, examples, predictions);
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("The best candidate has the largest score") {
  CHECK(best_candidate(std::vector{-3.0, -1.0, -2.0}, "x") == 1);
  CHECK(best_candidate(std::vector{-1.0, -1.0}, "x") == 0);
  CHECK(best_candidate(std::vector{-std::numeric_limits<double>::infinity(), -9.0}, "x") == 1);
  CHECK(has(refusal(Exit::diverged,
                    [] {
                      best_candidate(std::vector{0.0, std::nan("")}, "v:3");
                    }),
            "v:3"));
  CHECK_THROWS_AS(best_candidate({}, "x"), Error);
}

TEST_CASE("Accuracy counts what has a gold label") {
  const auto examples = with_gold({0, 1, -1, 1, 0}, 2);
  const TaskScore score = score_task(Task::rte, examples, Ints{0, 0, 0, 1, 0});
  CHECK(score.scored == 4);
  CHECK(value(score, "accuracy") == Approx(0.75));
  CHECK(score.headline == Approx(0.75));
  CHECK(score.values.size() == 1);
  const TaskScore none = score_task(Task::rte, with_gold({-1}, 2), Ints{0});
  CHECK(none.scored == 0);
  CHECK(none.values.empty());
}

TEST_CASE("CB: accuracy and the mean of the classes' F1") {
  // Class 0: 2 true, 2 predicted, 1 hit: 1/2. Class 1: 2 true, 3 predicted, 2 hits: 4/5.
  // Class 2: 1 true, none predicted: 0.
  const auto examples = with_gold({0, 0, 1, 1, 2}, 3);
  const TaskScore score = score_task(Task::cb, examples, Ints{0, 1, 1, 1, 0});
  CHECK(value(score, "accuracy") == Approx(0.6));
  CHECK(value(score, "f1") == Approx((0.5 + 0.8 + 0.0) / 3.0));
  CHECK(score.headline == Approx((0.6 + (0.5 + 0.8) / 3.0) / 2.0));
  // A class that neither occurs nor is predicted is left out of the mean.
  CHECK(value(score_task(Task::cb, with_gold({0, 1}, 3), Ints{0, 1}), "f1") == Approx(1.0));
}

TEST_CASE("MultiRC: F1 over all answers, exact match by question") {
  auto examples = with_gold({1, 0, 1, 0, 1}, 2);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i].group = i < 3 ? "0:0" : "0:1";
  const TaskScore score = score_task(Task::multirc, examples, Ints{1, 1, 0, 0, 1});
  // Correct answers: 3 true, 3 predicted, 2 hits.
  CHECK(value(score, "f1a") == Approx(2.0 / 3.0));
  CHECK(value(score, "em") == Approx(0.5));
  CHECK(value(score, "accuracy") == Approx(0.6));
  CHECK(score.headline == Approx((2.0 / 3.0 + 0.5) / 2.0));
}

TEST_CASE("ReCoRD: texts are compared without case, punctuation, articles and spaces") {
  CHECK(exact_match("The U.S.  Army", "us army"));
  CHECK(exact_match("Zo\xC3\xAB's", "Zo\xC3\xABs"));
  CHECK_FALSE(exact_match("Theodore", "odore"));
  CHECK(token_f1("Barack Obama", "Obama") == Approx(2.0 / 3.0));
  CHECK(token_f1("Obama Obama", "Obama") == Approx(2.0 / 3.0));
  CHECK(token_f1("a cat", "dog") == 0.0);
  std::vector<Example> examples(2);
  examples[0].candidates = {"Barack Obama", "Bush"};
  examples[0].accepted = {"Bush", "President Obama", "the barack obama"};
  examples[0].gold = 1;
  examples[1].candidates = {"Al", "Al Gore"};
  examples[1].accepted = {"Al"};
  examples[1].gold = 0;
  const TaskScore score = score_task(Task::record, examples, Ints{0, 1});
  CHECK(value(score, "em") == Approx(0.5));
  CHECK(value(score, "f1") == Approx((1.0 + 2.0 / 3.0) / 2.0));
  CHECK(value(score, "accuracy") == 0.0);
}

TEST_CASE("Predictions are written as a submission has them") {
  const auto two = with_gold({-1, -1}, 2);
  CHECK(written(Task::boolq, two, Ints{0, 1}) ==
        "{\"idx\":10,\"label\":\"false\"}\n{\"idx\":11,\"label\":\"true\"}\n");
  CHECK(written(Task::wic, two, Ints{1, 0}) ==
        "{\"idx\":10,\"label\":\"true\"}\n{\"idx\":11,\"label\":\"false\"}\n");
  CHECK(written(Task::wsc, two, Ints{1, 0}) ==
        "{\"idx\":10,\"label\":\"True\"}\n{\"idx\":11,\"label\":\"False\"}\n");
  CHECK(written(Task::copa, two, Ints{1, 0}) ==
        "{\"idx\":10,\"label\":1}\n{\"idx\":11,\"label\":0}\n");
  CHECK(written(Task::rte, two, Ints{1, 0}) ==
        "{\"idx\":10,\"label\":\"not_entailment\"}\n{\"idx\":11,\"label\":\"entailment\"}\n");
  CHECK(written(Task::cb, with_gold({-1}, 3), Ints{2}) == "{\"idx\":10,\"label\":\"neutral\"}\n");
  auto record = with_gold({-1}, 2);
  record[0].candidates = {"A", "Zo\xC3\xAB \"B\""};
  CHECK(written(Task::record, record, Ints{1}) ==
        "{\"idx\":10,\"label\":\"Zo\xC3\xAB \\\"B\\\"\"}\n");
  auto multirc = with_gold({-1, -1, -1, -1}, 2);
  multirc[0].id = "3:8:20";
  multirc[1].id = "3:8:21";
  multirc[2].id = "3:9:22";
  multirc[3].id = "4:10:23";
  CHECK(written(Task::multirc, multirc, Ints{0, 1, 1, 0}) ==
        "{\"idx\":3,\"passage\":{\"questions\":[{\"idx\":8,\"answers\":[{\"idx\":20,\"label\":0},"
        "{\"idx\":21,\"label\":1}]},{\"idx\":9,\"answers\":[{\"idx\":22,\"label\":1}]}]}}\n"
        "{\"idx\":4,\"passage\":{\"questions\":[{\"idx\":10,\"answers\":[{\"idx\":23,\"label\":0}]"
        "}]}}\n");
}
