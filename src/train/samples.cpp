#include "samples.h"

#include <utility>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/open_prompt.h"
#include "lomo/data/readers.h"
#include "lomo/io/json.h"
#include "lomo/train/generation.h"

namespace lomo {

namespace {

/// Of one line: a conversation that ends in a question.
Conversation asked(std::string const& line, std::string const& where, bool json, bool chat) {
  Conversation question;
  question.where = where;
  std::string prompt = line;
  if (json) {
    const Json record = parse_json(line, where, Exit::data);
    if (record.is_object() && record.contains("messages")) {
      if (!chat) throw Error(Exit::data, where + ": a conversation needs data.task \"chat\"");
      question = parse_conversation(line, where, ChatFormat::messages);
      OrderedJson& messages = question.messages;
      while (!messages.empty() && messages.back()["role"] == "assistant") {
        messages.erase(messages.size() - 1);
      }
      if (messages.empty()) throw Error(Exit::data, where + ": nothing is asked in \"messages\"");
      return question;
    }
    if (!record.is_object() || !record.contains("prompt") || !record["prompt"].is_string()) {
      throw Error(Exit::data, where +
                                  ": a line of data.samples must have \"messages\" or a text "
                                  "\"prompt\", or be no JSON in all of the file");
    }
    prompt = record["prompt"].get<std::string>();
  }
  question.messages = {{{"role", "user"}, {"content", prompt}}};
  return question;
}

std::string last_text(Conversation const& question) {
  std::string all;
  for (std::string const& text : texts_of(question.messages.back())) all += text;
  return all;
}

}  // namespace

std::vector<SamplePrompt> load_samples(TrainConfig const& config, Tokenizer const& tokenizer,
                                       ChatTemplate const* chat) {
  DataSection const& data = config.data;
  std::vector<SamplePrompt> samples;
  if (data.samples.empty()) return samples;
  bool json = false;
  each_line(data.samples, [&](std::string const& line, std::string const& where) {
    if (samples.empty()) json = line.starts_with('{');
    const Conversation question = asked(line, where, json, chat != nullptr);
    SamplePrompt sample{where, last_text(question), {}, {}};
    if (chat != nullptr) {
      sample.ids = encode_open_chat(*chat, tokenizer, question);
    } else {
      OpenPrompt open = encode_prompt(tokenizer, sample.prompt);
      sample.ids = std::move(open.ids);
      sample.owed = std::move(open.owed);
    }
    if (sample.ids.empty()) throw Error(Exit::data, where + ": the prompt has no tokens");
    if (std::cmp_greater(sample.ids.size(), data.max_length)) {
      throw Error(Exit::data, where + ": a prompt of " + std::to_string(sample.ids.size()) +
                                  " tokens, and data.max_length is " +
                                  std::to_string(data.max_length) + "; shorten it");
    }
    samples.push_back(std::move(sample));
  });
  if (samples.empty()) throw Error(Exit::data, data.samples + ": holds no prompts");
  return samples;
}

void add_answers(TrainConfig const& config, Tokenizer const& tokenizer, ChatTemplate const* chat,
                 EvalSet& eval) {
  eval.tokenizer = &tokenizer;
  if (chat == nullptr) {
    eval.stops = tokenizer.stops();
  } else {
    AnswerEnds ends = answer_ends(*chat, tokenizer);
    eval.stops = std::move(ends.stops);
    if (!ends.template_ends_turns) {
      log::warn(
          "the chat template ends answers with no special token of this tokenizer: the model may "
          "not know where to stop");
    }
    // Where everything carries loss, nothing tells the answer from what comes before it.
    if (config.data.loss_on != LossOn::everything) {
      eval.examples = examples_of_chat(tokenizer, eval.data, eval.stops);
    }
  }
  eval.samples = load_samples(config, tokenizer, chat);
  if (!eval.samples.empty() && eval.empty()) {
    throw Error(Exit::usage,
                "data.samples are answered at evaluations, and there is nothing to evaluate on: "
                "name data.validation, or set data.validation_share");
  }
}

}  // namespace lomo
