#include <algorithm>
#include <string>

#include "lomo/train/generation.h"
#include "lomo/train/inputs.h"
#include "support/catch.h"
#include "support/data.h"
#include "support/files.h"

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
