#include "lomo/data/encode.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "document_step.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
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

/// The prompt, shortened where needed; the last that `fits` has tried. Nothing when no prompt at
/// all is still too much.
std::optional<std::string> fit_prompt(Example const& example, Fit& fits) {
  std::string prompt = example.prompt;
  if (fits(prompt)) return prompt;
  const std::size_t begin = std::min(example.passage_begin, prompt.size());
  const std::size_t end = std::clamp(example.passage_end, begin, prompt.size());
  prompt.erase(begin, bytes_to_cut(prompt, begin, end, fits));
  if (fits(prompt)) return prompt;
  prompt.erase(0, bytes_to_cut(prompt, 0, prompt.size(), fits));
  if (fits(prompt)) return prompt;
  return std::nullopt;
}

using Answers = std::vector<std::string_view>;

/// `ids` of a prompt, of which some may be cut, and an answer, without what ends it.
EncodedAnswer marked(Tokenizer const& tokenizer, Example const& example, std::string const& prompt,
                     std::vector<std::int32_t> const& alone, std::vector<std::int32_t> ids) {
  const auto parting = std::mismatch(ids.begin(), ids.end(), alone.begin(), alone.end());
  EncodedAnswer encoded;
  encoded.loss_from = static_cast<std::size_t>(parting.first - ids.begin());
  encoded.truncated = prompt.size() < example.prompt.size();
  if (prompt.ends_with(' ') && encoded.loss_from < ids.size()) {
    const std::string first = tokenizer.piece_text(ids[encoded.loss_from]);
    encoded.joined_space = first.starts_with(' ') && first.find_first_not_of(' ') != first.npos;
  }
  encoded.ids = std::move(ids);
  encoded.ids.insert(encoded.ids.end(), tokenizer.closing().begin(), tokenizer.closing().end());
  return encoded;
}

/// None when an answer alone does not fit.
std::vector<EncodedAnswer> encode_answers(Tokenizer const& tokenizer, Example const& example,
                                          Answers const& answers, std::int64_t max_length) {
  Fit fits(tokenizer, answers, max_length);
  const auto prompt = fit_prompt(example, fits);
  if (!prompt) return {};
  const std::vector<std::int32_t> alone = with_start(tokenizer, *prompt);
  std::vector<EncodedAnswer> all;
  for (std::vector<std::int32_t> const& ids : fits.ids()) {
    all.push_back(marked(tokenizer, example, *prompt, alone, ids));
  }
  return all;
}

/// Of answers that do not fit as much as there is room for, after a prompt that takes no more than
/// half of it. What is cut has no end, so it ends without eos.
std::vector<EncodedAnswer> cut_answers(Tokenizer const& tokenizer, Example const& example,
                                       Answers const& answers, std::int64_t max_length) {
  Fit half(tokenizer, {""}, std::max<std::int64_t>(max_length / 2, 1));
  const std::string prompt = fit_prompt(example, half).value_or("");
  const std::vector<std::int32_t> alone = with_start(tokenizer, prompt);
  const auto room = static_cast<std::size_t>(max_length) + 1;
  std::vector<EncodedAnswer> all;
  for (std::string_view answer : answers) {
    all.push_back(marked(tokenizer, example, prompt, alone,
                         with_start(tokenizer, prompt + std::string(answer))));
    if (all.back().ids.size() > room) all.back().ids.resize(room);
  }
  return all;
}

/// Ids of the longest answer, with what starts a text and without what ends it.
std::int64_t longest_of(Tokenizer const& tokenizer, Answers const& answers) {
  std::size_t longest = 0;
  for (std::string_view answer : answers) {
    longest = std::max(longest, with_start(tokenizer, answer).size());
  }
  return static_cast<std::int64_t>(longest);
}

std::vector<EncodedAnswer> require_fit(Tokenizer const& tokenizer, Example const& example,
                                       Answers const& answers, std::int64_t max_length) {
  std::vector<EncodedAnswer> all = encode_answers(tokenizer, example, answers, max_length);
  if (!all.empty() || answers.empty()) return all;
  throw Error(Exit::data, example.where + ": the answer alone has " +
                              counted(longest_of(tokenizer, answers), "token") +
                              ", more than max_length " + human_count(max_length) +
                              "; raise it, or leave this example out");
}

/// Collects the sequences of one example after another, and what is found in them.
class Builder {
 public:
  Builder(Tokenizer const& tokenizer, EncodeOptions const& options)
      : tokenizer_(tokenizer), options_(options) {}

  void add(Example const& example, std::int64_t index, Answers const& answers) {
    DataStatistics& found = data_.statistics;
    found.examples += 1;
    std::vector<EncodedAnswer> all =
        encode_answers(tokenizer_, example, answers, options_.max_length);
    if (all.empty() && !answers.empty()) {
      found.too_long.add(longest_of(tokenizer_, answers), example.where);
      if (options_.too_long != TooLong::cut) return;
      all = cut_answers(tokenizer_, example, answers, options_.max_length);
    }
    bool cut = false, joined = false;
    for (EncodedAnswer const& encoded : all) {
      data_.add(encoded.ids, encoded.loss_from, example.where, index);
      cut = cut || encoded.truncated;
      joined = joined || encoded.joined_space;
      found.unknown_ids += std::count(encoded.ids.begin(), encoded.ids.end(), unknown_);
    }
    data_.truncated += cut ? 1 : 0;
    if (joined) found.joined_space.add(example.where);
    look_at_answers(all, example.where);
    std::string text = example.prompt;
    for (std::string_view answer : answers) text.append("\n").append(answer);
    count_special(tokenizer_, text, example.where, found);
  }

  Dataset take() { return std::move(data_); }

 private:
  /// Ids of an answer alone.
  std::span<std::int32_t const> own(EncodedAnswer const& encoded) const {
    std::span<std::int32_t const> ids(encoded.ids);
    ids = ids.subspan(encoded.loss_from);
    std::vector<std::int32_t> const& closing = tokenizer_.closing();
    const bool ended =
        ids.size() >= closing.size() && std::ranges::equal(ids.last(closing.size()), closing);
    return ended ? ids.first(ids.size() - closing.size()) : ids;
  }

  /// Pieces of spaces alone do not make an answer.
  bool is_blank(std::int32_t id) const {
    const std::string text = tokenizer_.piece_text(id);
    return !text.empty() && text.find_first_not_of(' ') == std::string::npos;
  }

  void look_at_answers(std::vector<EncodedAnswer> const& all, std::string const& where) {
    DataStatistics& found = data_.statistics;
    bool empty = false, unknown = false, same = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      bool unknowns = false, others = false;
      for (const std::int32_t id : own(all[i])) {
        if (id == unknown_) {
          unknowns = true;
        } else if (!is_blank(id)) {
          others = true;
          break;
        }
      }
      empty = empty || (!unknowns && !others);
      unknown = unknown || (unknowns && !others);
      for (std::size_t j = 0; j < i; ++j) same = same || all[i].ids == all[j].ids;
    }
    if (empty) found.no_tokens.add(where);
    if (unknown && !empty) found.unknown.add(where);
    if (same) found.same_candidates.add(where);
  }

  Tokenizer const& tokenizer_;
  EncodeOptions const& options_;
  std::int32_t unknown_ = tokenizer_.unknown() >= 0 ? tokenizer_.unknown() : -2;  // no id
  Dataset data_;
};

}  // namespace

EncodedAnswer encode_answer(Tokenizer const& tokenizer, Example const& example,
                            std::string_view answer, std::int64_t max_length) {
  return std::move(require_fit(tokenizer, example, {answer}, max_length).front());
}

std::vector<EncodedAnswer> encode_candidates(Tokenizer const& tokenizer, Example const& example,
                                             std::int64_t max_length) {
  return require_fit(tokenizer, example, {example.candidates.begin(), example.candidates.end()},
                     max_length);
}

Dataset encode_examples(Tokenizer const& tokenizer, std::span<Example const> examples,
                        EncodeOptions const& options) {
  Builder builder(tokenizer, options);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    Example const& example = examples[i];
    if (example.answer.empty()) {
      throw Error(Exit::data, example.where + ": no answer to train on (a test file?)");
    }
    builder.add(example, static_cast<std::int64_t>(i), {example.answer});
  }
  return builder.take();
}

Dataset encode_ranked(Tokenizer const& tokenizer, std::span<Example const> examples,
                      EncodeOptions const& options) {
  Builder builder(tokenizer, options);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    builder.add(examples[i], static_cast<std::int64_t>(i),
                {examples[i].candidates.begin(), examples[i].candidates.end()});
  }
  return builder.take();
}

Dataset encode_documents(Tokenizer const& tokenizer, std::span<Document const> documents,
                         std::int64_t max_length) {
  Dataset data;
  const std::size_t step = document_step(max_length);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    Document const& document = documents[i];
    const std::string of_file = document.file ? with_plain_lines(document.bytes) : "";
    std::string const& text = document.file ? of_file : document.text;
    count_special(tokenizer, text, document.where, data.statistics);
    std::vector<std::int32_t> ids = with_start(tokenizer, text);
    if (tokenizer.unknown() >= 0) {
      data.statistics.unknown_ids += std::count(ids.begin(), ids.end(), tokenizer.unknown());
    }
    ids.insert(ids.end(), tokenizer.closing().begin(), tokenizer.closing().end());
    data.add_document(ids, step, document.where, static_cast<std::int64_t>(i));
  }
  return data;
}

Dataset encode_id_lists(std::span<IdList const> lists, EncodeOptions const& options) {
  Dataset data;
  const std::int64_t max_length = options.max_length;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    std::span<std::int32_t const> ids = lists[i].ids;
    const auto count = static_cast<std::int64_t>(ids.size());
    data.statistics.examples += 1;
    if (max_length > 0 && count > max_length + 1) {
      data.statistics.too_long.add(count - 1, lists[i].where);
      // What is left of a list whose targets are all cut teaches nothing.
      if (options.too_long != TooLong::cut || lists[i].loss_from > max_length) continue;
      ids = ids.first(static_cast<std::size_t>(max_length) + 1);
    }
    data.add(ids, static_cast<std::size_t>(lists[i].loss_from), lists[i].where,
             static_cast<std::int64_t>(i));
  }
  return data;
}

void require_fit(Dataset const& whole, EncodeOptions const& options) {
  TooLongFound const& too_long = whole.statistics.too_long;
  if (options.too_long != TooLong::error || too_long.count == 0) return;
  refuse_too_long(too_long, options.what, whole.statistics.examples, options.max_length);
}

}  // namespace lomo
