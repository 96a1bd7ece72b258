#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bench.h"
#include "lomo/data/train_tokenizer.h"
#include "lomo/train/evaluator.h"
#include "lomo/train/generation.h"
#include "lomo/train/inputs.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/files.h"
#include "support/thread_ranks.h"

using namespace lomo;

namespace {

/// A model folder that has a tokenizer and no chat template.
void put_tokenizer(test::TemporaryFolder const& folder) {
  folder.put("tokenizer.model",
             test::slurp(test::data_dir() / "tokenizers/llama2-32k/tokenizer.model"));
}

TrainConfig config_of(test::TemporaryFolder const& folder, std::string const& data) {
  const std::string path = folder.path().string();
  return parse_config(Json::parse(R"({"model": {"path": ")" + path +
                                  R"("}, "optimizer": {"lr": 0.01}, "data": )" + data + "}"),
                      "c.json");
}

std::int64_t targets(TrainConfig const& config) {
  const Tokenizer tokenizer(config.model.path);
  return load_inputs(config, &tokenizer, {}, {}).train.targets();
}

}  // namespace

TEST_CASE("Conversations are read for training and evaluation as the config says") {
  LOMO_NEEDS_DATA();
  const test::TemporaryFolder folder;
  put_tokenizer(folder);
  const std::string turn =
      R"({"role": "user", "content": "aa"}, {"role": "assistant", "content": "ab"})";
  const std::string record = "{\"messages\": [" + turn + ", " + turn + "]}\n";
  const std::string train = folder.put("train.jsonl", record + record + record + record).string();
  const std::string data = R"({"task": "chat", "template": "chatml", "validation_share": 0.25,)"
                           R"("train": ")" +
                           train + R"(", "loss_on": ")";
  const TrainConfig all = config_of(folder, data + "all_answers\"}");
  const Tokenizer tokenizer(folder.path());
  const Inputs inputs = load_inputs(all, &tokenizer, {}, {});
  CHECK(inputs.train.size() == 3);
  CHECK(inputs.eval.data.size() == 1);
  CHECK_FALSE(inputs.eval.task);
  // Of two answers the last is what an evaluation asks for, with the first in its prompt.
  REQUIRE(inputs.eval.examples.size() == 1);
  CHECK(inputs.eval.examples[0].answer == "ab<|im_end|>");  // no token of this tokenizer
  CHECK(
      inputs.eval.examples[0].prompt.ends_with("ab<|im_end|>\n<|im_start|>user\naa<|im_end|>\n"
                                               "<|im_start|>assistant\n"));
  const auto asked = free_answers(inputs.eval, all.eval);
  REQUIRE(asked.size() == 1);
  CHECK(tokenizer.decode(asked[0].prompt) == inputs.eval.examples[0].prompt);
  CHECK(asked[0].stops == std::vector<std::int32_t>{2});
  const std::int64_t of_all = targets(all);
  const std::int64_t of_last = targets(config_of(folder, data + "last_answer\"}"));
  const TrainConfig everything = config_of(folder, data + "everything\"}");
  const std::int64_t of_everything = targets(everything);
  CHECK(load_inputs(everything, &tokenizer, {}, {}).eval.examples.empty());
  CHECK(of_last > 0);
  CHECK(of_all == 2 * of_last);
  CHECK(of_everything == inputs.train.tokens());
}

TEST_CASE("The template of the folder is taken unless the config names one") {
  LOMO_NEEDS_DATA();
  const test::TemporaryFolder folder;
  put_tokenizer(folder);
  const std::string train =
      folder.put("train.jsonl", R"({"instruction": "a", "output": "ab"})").string();
  const std::string data = R"({"task": "chat", "train": ")" + train + "\"";
  CHECK_THROWS_WITH(targets(config_of(folder, data + "}")), Catch::Contains("no chat template"));
  folder.put("chat_template.jinja",
             "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}"
             "{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}");
  CHECK(targets(config_of(folder, data + "}")) > 0);
  CHECK_THROWS_WITH(targets(config_of(folder, data + R"(, "format": "sharegpt"})")),
                    Catch::Contains("field \"conversations\" is missing"));
}

TEST_CASE("ranks write the answers and samples of a chat that one writes") {
  const test::TemporaryFolder folder;
  const std::vector<std::string> texts = {
      "The dog saw the cat. The cat saw the dog and ran to the old house by the river.",
      "<|im_start|>user",
      "<|im_start|>assistant",
      "<|im_end|>",
      "Yes",
      "No"};
  train_tokenizer(texts, 340, folder.path() / "tokenizer.model");
  std::string records;
  for (char const* answer : {"Yes", "No", "the cat", "the dog", "the old house"}) {
    records += std::string(R"({"messages": [{"role": "user", "content": "The dog?"}, )") +
               R"({"role": "assistant", "content": ")" + answer + "\"}]}\n";
  }
  const std::string file = folder.put("a.jsonl", records).string();
  const std::string samples = folder.put("samples.txt", "The cat?\nYes or No?\n").string();
  const TrainConfig config = config_of(
      folder, R"({"task": "chat", "template": "chatml", "train": ")" + file +
                  R"(", "validation": ")" + file + R"(", "samples": ")" + samples + "\"}");
  const Tokenizer tokenizer(folder.path());
  Inputs inputs = load_inputs(config, &tokenizer, {}, {});
  ModelConfig shape = test::tiny_config(false);
  shape.vocab = tokenizer.size() + 7;
  shape.context = 512;
  EvalReport alone;
  const auto evaluate_on = [&](int ranks) {
    std::vector<EvalReport> reports(static_cast<std::size_t>(ranks));
    test::on_ranks(ranks, [&](Backend& backend, Communicator& communicator, int rank) {
      Decoder model(backend, shape, DType::f32, {}, communicator);
      test::fill_weights(model, 3);
      reports[static_cast<std::size_t>(rank)] = evaluate(model, inputs.eval, config.eval);
    });
    return reports;
  };
  alone = evaluate_on(1).front();
  REQUIRE(alone.written.size() == 5);
  REQUIRE(alone.samples.size() == 2);
  // Two of the right answers are now what this model writes, so that the metric has what to count.
  inputs.eval.examples[1].answer = alone.written.at(1);
  inputs.eval.examples[4].answer = alone.written.at(4);
  for (const int ranks : {1, 2, 3}) {
    INFO(ranks);
    for (EvalReport const& report : evaluate_on(ranks)) {
      CHECK(report.samples == alone.samples);
      CHECK(report.written == alone.written);
      REQUIRE(report.metrics.size() == 3);
      CHECK(report.metrics[2] == std::pair<std::string, double>("exact_match", 40.0));
    }
  }
}

TEST_CASE("The keys of chat data survive being written and read") {
  const test::TemporaryFolder folder;
  const TrainConfig config = config_of(
      folder,
      R"({"task": "chat", "template": "t.jinja", "format": "alpaca", "loss_on": "last_answer"})");
  const TrainConfig again = parse_config(Json::parse(to_json(config).dump()), "again");
  CHECK(again.data.chat_template == "t.jinja");
  CHECK(again.data.format == ChatFormat::alpaca);
  CHECK(again.data.loss_on == LossOn::last_answer);
}
