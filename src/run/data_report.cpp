#include "data_report.h"

#include <vector>

#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/data/example_view.h"
#include "lomo/io/json.h"
#include "lomo/train/generation.h"

namespace lomo {

namespace {

constexpr std::size_t kSampleBytes = 300;  // of a prompt or an answer in the log
constexpr std::size_t kShown = 10;         // pieces before and after the place where loss begins

/// A text in quotes, with \n for the ends of its lines, and cut.
std::string on_a_line(std::string const& text) {
  const nlohmann::ordered_json quoted = cut_text(text, kSampleBytes);
  return quoted.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void log_first(Tokenizer const* tokenizer, Dataset const& data, char const* of, bool colour) {
  if (data.empty()) return;
  const SequenceView first = data[0];
  log::info("first of {} ({}): {}", of, data.where(0),
            view_pieces(tokenizer, first, {.colour = colour, .pieces = kShown}));
  log::debug("all of it: {}", view_pieces(tokenizer, first, {.colour = colour, .pieces = 0}));
}

}  // namespace

std::string counts_of(Dataset const& data) {
  return counted(static_cast<std::int64_t>(data.size()), "sequence") + ", " +
         counted(data.tokens(), "token") + ", " + human_count(data.targets()) + " with loss";
}

std::vector<std::string> warnings_of(TrainConfig const& config, Inputs const& inputs) {
  DataSection const& data = config.data;
  std::vector<std::string> all =
      data_warnings(inputs.train.statistics, "training", data.max_length, data.too_long);
  for (std::string& warning :
       data_warnings(inputs.eval.data.statistics, "evaluation", data.max_length, data.too_long)) {
    all.push_back(std::move(warning));
  }
  const std::int64_t cut = inputs.train.truncated + inputs.eval.data.truncated;
  if (cut > 0) {
    all.push_back(
        counted(inputs.train.truncated, "training example") + " and " +
        counted(inputs.eval.data.truncated, "evaluation example") + (cut == 1 ? " was" : " were") +
        " longer than data.max_length " + human_count(data.max_length) + ": the start of " +
        (data.task == "jsonl" && data.passage_field.empty() ? "the prompt" : "the passage") +
        " is cut");
  }
  return all;
}

nlohmann::ordered_json samples_of(EvalSet const& set, EvalReport const& report) {
  auto all = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < report.samples.size(); ++i) {
    all.push_back({{"prompt", set.samples[i].prompt}, {"answer", report.samples[i]}});
  }
  return all;
}

void log_samples(EvalSet const& set, EvalReport const& report) {
  for (std::size_t i = 0; i < report.samples.size(); ++i) {
    log::info("sample {}: {} -> {}", set.samples[i].where, on_a_line(set.samples[i].prompt),
              on_a_line(report.samples[i]));
  }
}

void log_data(TrainConfig const& config, Tokenizer const* tokenizer, Inputs const& inputs,
              bool colour, std::string const& of_run) {
  if (tokenizer != nullptr) {
    log::info("tokens: {}", describe_named_tokens(*tokenizer));
    for (std::string const& warning : tokenizer->warnings()) log::warn("{}", warning);
  }
  std::string counts;
  if (!inputs.train.empty()) counts = "training " + counts_of(inputs.train) + "; ";
  if (inputs.eval.empty()) {
    counts += "no evaluation (data.validation names no file, data.validation_share is 0)";
  } else {
    counts += "evaluation " + counts_of(inputs.eval.data);
    std::int64_t answers = 0, tokens = 0, samples = 0;
    for (FreeAnswer const& answer : free_answers(inputs.eval, config.eval)) {
      (answer.sample ? samples : answers) += 1;
      if (!answer.sample) tokens += answer.lengths.total - answer.lengths.prompt;
    }
    if (answers > 0) {
      counts += "; the model writes " + counted(answers, "answer") + ", at most " +
                counted(tokens, "token") + " in all (eval.generate_examples)";
    }
    if (samples > 0) {
      counts += (answers > 0 ? ", and answers " : "; the model answers ") +
                counted(samples, "prompt") + " of data.samples";
    }
  }
  const std::int64_t joined =
      inputs.train.statistics.joined_space.count + inputs.eval.data.statistics.joined_space.count;
  if (joined > 0) {
    counts += joined == 1 ? "; 1 prompt ends" : "; " + human_count(joined) + " prompts end";
    counts += " in a space that is part of the answer's first token";
  }
  log::info("data: {}{}", counts, of_run.empty() ? "" : "; " + of_run);
  log_first(tokenizer, inputs.train, "training", colour);
  log_first(tokenizer, inputs.eval.data, "evaluation", colour);
  for (std::string const& warning : warnings_of(config, inputs)) log::warn("{}", warning);
}

}  // namespace lomo
