#include "lomo/train/generation.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/data/open_prompt.h"

namespace lomo {

namespace {

constexpr std::int64_t kLongestAnswer = 64;  // tokens, with eos
constexpr std::int64_t kRoom = 8;            // tokens that may be written beyond the right answer's

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// What `written` adds to the text of `prompt`, without blanks around it.
std::string text_after(Tokenizer const& tokenizer, std::vector<std::int32_t> const& prompt,
                       std::vector<std::int32_t> const& written) {
  std::vector<std::int32_t> ids = prompt;
  ids.insert(ids.end(), written.begin(), written.end());
  const std::string before = tokenizer.decode(prompt);
  const std::string all = tokenizer.decode(ids);
  if (all.starts_with(before)) return std::string(trimmed(all.substr(before.size())));
  return std::string(trimmed(tokenizer.decode(written)));
}

std::string write_answer(Llama& model, Tokenizer const& tokenizer, FreeAnswer const& answer) {
  OwedText owed(tokenizer, answer.owed);
  const auto room = static_cast<std::size_t>(answer.lengths.total - answer.lengths.prompt);
  std::vector<std::int32_t> written;
  KeyValueCache cache = model.make_cache(answer.lengths.total);
  std::vector<float> logits = model.extend(cache, answer.prompt);
  while (true) {
    forbid_rows_without_token(tokenizer, logits);
    owed.restrict(logits);
    const auto next = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
    if (std::ranges::count(answer.stops, next) > 0) break;
    owed.take(next);
    written.push_back(next);
    if (written.size() == room) break;
    logits = model.extend(cache, {next});
  }
  return text_after(tokenizer, answer.prompt, written);
}

bool covers(GenerationLengths const& a, GenerationLengths const& b) {
  return a.prompt >= b.prompt && a.total >= b.total;
}

}  // namespace

LastAnswer last_answer(Sequence const& sequence) {
  const auto carries = [](std::int32_t target) { return target != kNoTarget; };
  std::vector<std::int32_t> const& targets = sequence.targets;
  const auto end = std::find_if(targets.rbegin(), targets.rend(), carries).base();
  const auto begin =
      std::find_if_not(std::make_reverse_iterator(end), targets.rend(), carries).base();
  if (begin == end) return {};
  const auto before = begin - targets.begin() + 1;
  return {{sequence.tokens.begin(), sequence.tokens.begin() + before}, {begin, end}};
}

std::vector<Example> examples_of_chat(Tokenizer const& tokenizer, Dataset const& data,
                                      std::vector<std::int32_t> const& stops) {
  std::vector<Example> examples;
  for (std::size_t i = 0; i < data.sequences.size(); ++i) {
    LastAnswer last = last_answer(data.sequences[i]);
    if (!last.answer.empty() && std::ranges::count(stops, last.answer.back()) > 0) {
      last.answer.pop_back();
    }
    Example example;
    example.id = std::to_string(i);
    example.prompt = tokenizer.decode(last.prompt);
    example.answer = text_after(tokenizer, last.prompt, last.answer);
    example.where = data.where[i];
    examples.push_back(std::move(example));
  }
  return examples;
}

std::vector<FreeAnswer> free_answers(EvalSet const& set, EvalSection const& options, int ranks) {
  std::vector<FreeAnswer> all;
  if (set.task || set.tokenizer == nullptr || ranks > 1) return all;
  const auto maximum = static_cast<std::size_t>(options.generate_examples);
  for (std::size_t i = 0; i < set.examples.size() && all.size() < maximum; ++i) {
    LastAnswer last = last_answer(set.data.sequences[i]);
    const auto answer = static_cast<std::int64_t>(last.answer.size());
    const auto before = static_cast<std::int64_t>(last.prompt.size());
    if (answer == 0 || answer > kLongestAnswer) continue;
    FreeAnswer free;
    free.index = i;
    free.prompt = std::move(last.prompt);
    free.stops = set.stops;
    const std::string_view spaces = last_spaces(set.examples[i].prompt);
    if (!set.tokenizer->decode(free.prompt).ends_with(spaces)) free.owed = spaces;
    free.lengths = {before, before + answer + kRoom};
    all.push_back(std::move(free));
  }
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    SamplePrompt const& asked = set.samples[i];
    const auto before = static_cast<std::int64_t>(asked.ids.size());
    all.push_back(
        {true, i, asked.ids, asked.owed, set.stops, {before, before + options.sample_tokens}});
  }
  return all;
}

std::vector<GenerationLengths> longest_of(std::vector<FreeAnswer> const& answers) {
  std::vector<GenerationLengths> worst;
  for (FreeAnswer const& answer : answers) {
    GenerationLengths const& lengths = answer.lengths;
    if (std::ranges::any_of(worst, [&](auto const& known) { return covers(known, lengths); })) {
      continue;
    }
    std::erase_if(worst, [&](auto const& known) { return covers(lengths, known); });
    worst.push_back(lengths);
  }
  return worst;
}

std::optional<GenerationLengths> longest_generation(TrainConfig const& config) {
  const std::string& task = config.data.task;
  const bool answers = task == "jsonl" || task == "chat";
  std::int64_t most = answers && config.eval.generate_examples > 0 ? kRoom : 0;
  if (!config.data.samples.empty()) most = std::max(most, config.eval.sample_tokens);
  if (most == 0) return std::nullopt;
  return GenerationLengths{config.data.max_length, config.data.max_length + most};
}

std::optional<std::vector<std::string>> write_answers(Llama& model, Tokenizer const& tokenizer,
                                                      std::span<FreeAnswer const> answers,
                                                      std::function<bool()> const& stop) {
  Activity activity("writing answers", static_cast<double>(answers.size()));
  std::vector<std::string> texts;
  for (FreeAnswer const& answer : answers) {
    if (stop && stop()) return std::nullopt;
    texts.push_back(write_answer(model, tokenizer, answer));
    activity.advance();
  }
  return texts;
}

void forbid_rows_without_token(Tokenizer const& tokenizer, std::vector<float>& logits) {
  logits.resize(std::min(logits.size(), static_cast<std::size_t>(tokenizer.size())));
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!tokenizer.has(static_cast<std::int32_t>(id))) {
      logits[id] = -std::numeric_limits<float>::infinity();
    }
  }
}

void rehearse_generation(Llama& model, GenerationLengths const& lengths) {
  KeyValueCache cache = model.make_cache(lengths.total);
  // Each step gives back all that it took. What a step of one token takes grows with the tokens
  // before it, so the prompt and the last token are the worst.
  model.next_logits(cache, std::vector<std::int32_t>(static_cast<std::size_t>(lengths.prompt), 0));
  if (lengths.total <= lengths.prompt) return;
  cache.used = lengths.total - 1;
  model.next_logits(cache, {0});
}

bool is_answer(std::string const& text, std::string const& answer) {
  return trimmed(text) == trimmed(answer);
}

}  // namespace lomo
