#include "lomo/train/generation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/data/open_prompt.h"
#include "lomo/dist/host_collectives.h"
#include "lomo/dist/ownership.h"

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
    const bool ends = std::ranges::count(tokenizer_.stops(), next) > 0;
    if (!ends) {
      owed_.take(next);
      ids_.push_back(next);
    }
    ended_ = ends || is_full();
    return next;
  }

  std::string text() const {
    const std::string before = tokenizer_.decode(answer_.prompt);
    const std::string all = tokenizer_.decode(ids_);
    if (all.starts_with(before)) return std::string(trimmed(all.substr(before.size())));
    const auto written = ids_.begin() + static_cast<std::ptrdiff_t>(answer_.prompt.size());
    return std::string(trimmed(tokenizer_.decode({written, ids_.end()})));
  }

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

std::vector<FreeAnswer> free_answers(EvalSet const& set, EvalSection const& options) {
  std::vector<FreeAnswer> all;
  if (set.task || set.tokenizer == nullptr) return all;
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

std::optional<std::vector<std::string>> write_answers(Llama& model, Tokenizer const& tokenizer,
                                                      std::span<FreeAnswer const> answers,
                                                      std::function<bool()> const& stop) {
  const RankInfo place = rank_info(model.ranks());
  const auto round = static_cast<std::size_t>(place.ranks);
  Activity activity("writing answers", static_cast<double>(answers.size()));
  std::vector<std::string> texts;
  for (std::size_t first = 0; first < answers.size(); first += round) {
    if (stop && stop()) return std::nullopt;
    const std::size_t mine = first + static_cast<std::size_t>(place.rank);
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

void rehearse_generation(Llama& model, GenerationLengths const& lengths) {
  KeyValueCache cache = model.make_cache(lengths.total);
  // Each step gives back all that it took. What a step of one token takes grows with the tokens
  // before it, so the prompt and the last token are the worst.
  std::vector<std::int32_t> prompt(static_cast<std::size_t>(lengths.prompt));
  for (std::size_t i = 0; i < prompt.size(); ++i) {  // distinct, which takes the most on ranks
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
