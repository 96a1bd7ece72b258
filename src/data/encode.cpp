#include "lomo/data/encode.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lomo/core/error.h"
#include "text.h"

namespace lomo {

namespace {

/// Only words longer than this are cut within.
constexpr std::size_t kLongWord = 64;

/// What starts a text, and the joint encoding, without what ends it.
std::vector<std::int32_t> with_start(Tokenizer const& tokenizer, std::string_view text) {
  std::vector<std::int32_t> ids = tokenizer.encode(text);
  ids.insert(ids.begin(), tokenizer.before().begin(), tokenizer.before().end());
  return ids;
}

/// Tries prompts before one or several answers, all of which must fit.
class Fit {
 public:
  Fit(Tokenizer const& tokenizer, std::vector<std::string_view> answers, std::int64_t max_length)
      : tokenizer_(tokenizer), answers_(std::move(answers)), max_length_(max_length) {}

  bool operator()(std::string const& prompt) {
    ids_.clear();
    for (std::string_view answer : answers_) {
      ids_.push_back(with_start(tokenizer_, prompt + std::string(answer)));
      const auto count = static_cast<std::int64_t>(ids_.back().size());
      if (max_length_ > 0 && count > max_length_) return false;
    }
    return true;
  }
  /// Prompt and each answer, of the last prompt that was tried and fitted.
  std::vector<std::vector<std::int32_t>> const& ids() const { return ids_; }

 private:
  Tokenizer const& tokenizer_;
  std::vector<std::string_view> answers_;
  std::int64_t max_length_;
  std::vector<std::vector<std::int32_t>> ids_;
};

/// How many bytes to leave out from the start of text[begin, end) so that the rest fits: up to the
/// start of a word, about as few as possible, all of them when nothing less was found to fit.
std::size_t bytes_to_cut(std::string const& text, std::size_t begin, std::size_t end, Fit& fits) {
  std::vector<std::size_t> cuts;
  std::size_t word = begin;
  for (std::size_t at = begin + 1; at < end; ++at) {
    const bool starts_word = is_space(text[at - 1]) && !is_space(text[at]);
    if (starts_word || (at - word >= kLongWord && starts_character(text, at))) {
      cuts.push_back(at - begin);
      word = at;
    }
  }
  cuts.push_back(end - begin);
  // Lengths in tokens are not quite monotonic in bytes, but cuts[enough] has always been tried,
  // except for the last, which the caller tries.
  std::size_t low = 0;
  std::size_t enough = cuts.size() - 1;
  while (low < enough) {
    const std::size_t middle = low + (enough - low) / 2;
    if (fits(text.substr(0, begin) + text.substr(begin + cuts[middle]))) {
      enough = middle;
    } else {
      low = middle + 1;
    }
  }
  return cuts[enough];
}

/// The prompt, shortened where needed; the last that `fits` has tried.
std::string fit_prompt(Example const& example, Fit& fits) {
  std::string prompt = example.prompt;
  if (fits(prompt)) return prompt;
  const std::size_t begin = std::min(example.passage_begin, prompt.size());
  const std::size_t end = std::clamp(example.passage_end, begin, prompt.size());
  prompt.erase(begin, bytes_to_cut(prompt, begin, end, fits));
  if (fits(prompt)) return prompt;
  prompt.erase(0, bytes_to_cut(prompt, 0, prompt.size(), fits));
  if (fits(prompt)) return prompt;
  throw Error(Exit::data, example.where +
                              ": the answer alone is longer than max_length; raise it, or leave "
                              "this example out");
}

std::vector<EncodedAnswer> encode_answers(Tokenizer const& tokenizer, Example const& example,
                                          std::vector<std::string_view> answers,
                                          std::int64_t max_length) {
  Fit fits(tokenizer, std::move(answers), max_length);
  const std::string prompt = fit_prompt(example, fits);
  const std::vector<std::int32_t> alone = with_start(tokenizer, prompt);
  std::vector<EncodedAnswer> all;
  for (std::vector<std::int32_t> const& ids : fits.ids()) {
    const auto parting = std::mismatch(ids.begin(), ids.end(), alone.begin(), alone.end());
    EncodedAnswer encoded{ids, static_cast<std::size_t>(parting.first - ids.begin()),
                          prompt.size() < example.prompt.size()};
    encoded.ids.insert(encoded.ids.end(), tokenizer.closing().begin(), tokenizer.closing().end());
    all.push_back(std::move(encoded));
  }
  return all;
}

}  // namespace

EncodedAnswer encode_answer(Tokenizer const& tokenizer, Example const& example,
                            std::string_view answer, std::int64_t max_length) {
  return std::move(encode_answers(tokenizer, example, {answer}, max_length).front());
}

std::vector<EncodedAnswer> encode_candidates(Tokenizer const& tokenizer, Example const& example,
                                             std::int64_t max_length) {
  return encode_answers(tokenizer, example, {example.candidates.begin(), example.candidates.end()},
                        max_length);
}

Dataset build_dataset(Tokenizer const& tokenizer, std::span<Example const> examples,
                      std::int64_t max_length) {
  Dataset data;
  for (Example const& example : examples) {
    if (example.answer.empty()) {
      throw Error(Exit::data, example.where + ": no answer to train on (a test file?)");
    }
    const EncodedAnswer encoded = encode_answer(tokenizer, example, example.answer, max_length);
    data.sequences.push_back(make_sequence(encoded.ids, encoded.loss_from));
    data.where.push_back(example.where);
    data.truncated += encoded.truncated ? 1 : 0;
  }
  return data;
}

Dataset build_dataset(Tokenizer const& tokenizer, std::span<Document const> documents,
                      std::int64_t max_length) {
  Dataset data;
  for (Document const& document : documents) {
    std::vector<std::int32_t> ids = with_start(tokenizer, document.text);
    ids.insert(ids.end(), tokenizer.closing().begin(), tokenizer.closing().end());
    const std::size_t step = max_length > 0 ? static_cast<std::size_t>(max_length) : ids.size();
    // Neighbouring pieces share one id: the last target of one is the first token of the next.
    for (std::size_t from = 0; from + 1 < ids.size(); from += step) {
      const std::size_t count = std::min(step + 1, ids.size() - from);
      data.sequences.push_back(make_sequence(std::span(ids).subspan(from, count), 0));
      data.where.push_back(document.where);
    }
  }
  return data;
}

}  // namespace lomo
