#include "lomo/train/generation.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/data/open_prompt.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/parallel/ownership.h"

namespace lomo {

void forbid_rows_without_token(Tokenizer const& tokenizer, std::vector<float>& logits) {
  logits.resize(std::min(logits.size(), static_cast<std::size_t>(tokenizer.size())));
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!tokenizer.has(static_cast<std::int32_t>(id))) {
      logits[id] = -std::numeric_limits<float>::infinity();
    }
  }
}

namespace {

constexpr std::int64_t kLongestAnswer = 64;  // tokens, with eos
constexpr std::int64_t kRoom = 8;            // tokens that may be written beyond the right answer's

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

const std::vector<std::int32_t> kIdle{0};  // what a rank feeds that has nothing to write

/// What the ids behind the first `prompt` add to the text of those, without blanks around it.
std::string text_after(Tokenizer const& tokenizer, std::size_t prompt,
                       std::vector<std::int32_t> const& ids) {
  const auto written = ids.begin() + static_cast<std::ptrdiff_t>(prompt);
  const std::string before = tokenizer.decode({ids.begin(), written});
  const std::string all = tokenizer.decode(ids);
  if (all.starts_with(before)) return std::string(trimmed(all.substr(before.size())));
  return std::string(trimmed(tokenizer.decode({written, ids.end()})));
}

/// A text as the model writes it.
class Writing {
 public:
  Writing(Tokenizer const& tokenizer, FreeAnswer const& answer)
      : tokenizer_(tokenizer), answer_(answer), owed_(tokenizer, answer.owed), ids_(answer.prompt) {
    ended_ = is_full();
  }

  bool ended() const { return ended_; }

  /// Takes the likeliest of the tokens that may come next, and returns it.
  std::int32_t take(std::vector<float> logits) {
    forbid_rows_without_token(tokenizer_, logits);
    owed_.restrict(logits);
    const auto next = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
    const bool ends = std::ranges::count(answer_.stops, next) > 0;
    if (!ends) {
      owed_.take(next);
      ids_.push_back(next);
    }
    ended_ = ends || is_full();
    return next;
  }

  std::string text() const { return text_after(tokenizer_, answer_.prompt.size(), ids_); }

 private:
  bool is_full() const { return std::cmp_greater_equal(ids_.size(), answer_.lengths.total); }

  Tokenizer const& tokenizer_;
  FreeAnswer const& answer_;
  OwedText owed_;
  std::vector<std::int32_t> ids_;
  bool ended_ = false;
};

bool covers(GenerationLengths const& a, GenerationLengths const& b) {
  return a.prompt >= b.prompt && a.total >= b.total;
}

}  // namespace

LastAnswer last_answer(SequenceView sequence) {
  const auto carries = [](std::int32_t target) { return target != kNoTarget; };
  const auto targets = sequence.targets;
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
  for (std::size_t i = 0; i < data.size(); ++i) {
    LastAnswer last = last_answer(data[i]);
    Example example;
    example.id = std::to_string(i);
    example.prompt = tokenizer.decode(last.prompt);
    if (!last.answer.empty() && std::ranges::count(stops, last.answer.back()) > 0) {
      last.answer.pop_back();
    }
    const std::size_t prompt = last.prompt.size();
    last.prompt.insert(last.prompt.end(), last.answer.begin(), last.answer.end());
    example.answer = text_after(tokenizer, prompt, last.prompt);
    example.where = data.where(i);
    examples.push_back(std::move(example));
  }
  return examples;
}

std::vector<FreeAnswer> free_answers(EvalSet const& set, EvalSection const& options) {
  std::vector<FreeAnswer> all;
  if (set.task || set.tokenizer == nullptr) return all;
  const auto maximum = static_cast<std::size_t>(options.generate_examples);
  for (std::size_t i = 0; i < set.examples.size() && all.size() < maximum; ++i) {
    LastAnswer last = last_answer(set.data[i]);
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
  std::string const& task = config.data.task;
  const bool answers = task == "jsonl" || task == "chat";
  std::int64_t most = answers && config.eval.generate_examples > 0 ? kRoom : 0;
  if (!config.data.samples.empty()) most = std::max(most, config.eval.sample_tokens);
  if (most == 0) return std::nullopt;
  return GenerationLengths{config.data.max_length, config.data.max_length + most};
}

std::optional<std::vector<std::string>> write_answers(Decoder& model, Tokenizer const& tokenizer,
                                                      std::span<FreeAnswer const> answers,
                                                      std::function<bool()> const& stop) {
  const RankInfo info = rank_info(model.ranks());
  const auto round = static_cast<std::size_t>(info.ranks);
  Activity activity("writing answers", static_cast<double>(answers.size()), Activity::Unit::count,
                    Activity::End::quiet);
  std::vector<std::string> texts;
  for (std::size_t first = 0; first < answers.size(); first += round) {
    if (stop && stop()) return std::nullopt;
    const std::size_t mine = first + static_cast<std::size_t>(info.rank);
    std::optional<Writing> writing;
    if (mine < answers.size()) writing.emplace(tokenizer, answers[mine]);
    KeyValueCache cache = model.make_cache(writing ? answers[mine].lengths.total : 1);
    std::vector<std::int32_t> next = writing ? answers[mine].prompt : kIdle;
    while (any_rank(model.ranks(), writing && !writing->ended())) {
      const std::vector<float> logits = model.extend(cache, next);
      if (writing && !writing->ended()) next = {writing->take(logits)};
      if (!writing || writing->ended()) {  // goes along with the others
        cache.used = 0;
        next = kIdle;
      }
    }
    for (std::string& text : all_gather_strings(model.ranks(), writing ? writing->text() : "")) {
      if (texts.size() < answers.size()) texts.push_back(std::move(text));
    }
    activity.advance(static_cast<double>(round));
  }
  return texts;
}

void rehearse_generation(Decoder& model, GenerationLengths const& lengths) {
  KeyValueCache cache = model.make_cache(lengths.total);
  // Each step gives back all that it took. What a step of one token takes grows with the tokens
  // before it, so the prompt and the last token are the worst.
  std::vector<std::int32_t> prompt(static_cast<std::size_t>(lengths.prompt));
  for (std::size_t i = 0; i < prompt.size(); ++i) {  // distinct, which takes the most
    prompt[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) % model.config().vocab);
  }
  model.next_logits(cache, prompt);
  if (lengths.total <= lengths.prompt) return;
  cache.used = lengths.total - 1;
  model.next_logits(cache, {0});
}

bool is_answer(std::string const& text, std::string const& answer) {
  return trimmed(text) == trimmed(answer);
}

}  // namespace lomo
