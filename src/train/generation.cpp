#include "lomo/train/generation.h"

#include <algorithm>
#include <limits>
#include <utility>

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

bool covers(GenerationLengths const& a, GenerationLengths const& b) {
  return a.prompt >= b.prompt && a.total >= b.total;
}

}  // namespace

std::vector<FreeAnswer> free_answers(EvalSet const& set, EvalSection const& options, int ranks) {
  std::vector<FreeAnswer> all;
  if (set.task || set.tokenizer == nullptr || ranks > 1) return all;
  const auto maximum = static_cast<std::size_t>(options.generate_examples);
  for (std::size_t i = 0; i < set.data.size() && all.size() < maximum; ++i) {
    const SequenceView sequence = set.data[i];
    const auto first = std::ranges::find_if(
        sequence.targets, [](std::int32_t target) { return target != kNoTarget; });
    const auto before = first - sequence.targets.begin() + 1;  // ids before the first target
    const std::int64_t answer = sequence.targets.end() - first;
    if (answer == 0 || answer > kLongestAnswer) continue;
    FreeAnswer free;
    free.example = i;
    free.prompt.assign(sequence.tokens.begin(), sequence.tokens.begin() + before);
    const std::string_view spaces = last_spaces(set.examples[i].prompt);
    if (!set.tokenizer->decode(free.prompt).ends_with(spaces)) free.owed = spaces;
    free.lengths = {before, before + answer + kRoom};
    all.push_back(std::move(free));
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

GenerationLengths longest_generation(std::int64_t max_length) {
  return {max_length, max_length + kRoom};
}

std::string write_answer(Llama& model, Tokenizer const& tokenizer, FreeAnswer const& answer) {
  OwedText owed(tokenizer, answer.owed);
  std::vector<std::int32_t> ids = answer.prompt;
  KeyValueCache cache = model.make_cache(answer.lengths.total);
  std::vector<float> logits = model.extend(cache, ids);
  while (static_cast<std::int64_t>(ids.size()) < answer.lengths.total) {
    forbid_rows_without_token(tokenizer, logits);
    owed.restrict(logits);
    const auto next = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
    if (std::ranges::count(tokenizer.stops(), next) > 0) break;
    owed.take(next);
    ids.push_back(next);
    if (static_cast<std::int64_t>(ids.size()) < answer.lengths.total) {
      logits = model.extend(cache, {next});
    }
  }
  const std::string before = tokenizer.decode(answer.prompt);
  const std::string all = tokenizer.decode(ids);
  if (all.starts_with(before)) return std::string(trimmed(all.substr(before.size())));
  const auto written = ids.begin() + static_cast<std::ptrdiff_t>(answer.prompt.size());
  return std::string(trimmed(tokenizer.decode({written, ids.end()})));
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
