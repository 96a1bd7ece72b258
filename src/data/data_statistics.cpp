#include "lomo/data/data_statistics.h"

#include <algorithm>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/core/text.h"

namespace lomo {

namespace {

constexpr std::size_t kNamed = 5;  // special tokens that a warning names

std::string first_of(Finding const& finding) {
  return finding.count == 1 ? " (" + finding.first + ")" : " (first " + finding.first + ")";
}

std::string have(std::int64_t count) {
  return count == 1 ? " has " : " have ";
}

}  // namespace

std::string special_list(std::map<std::string, std::int64_t> const& counts) {
  std::vector<std::pair<std::string, std::int64_t>> all(counts.begin(), counts.end());
  std::stable_sort(all.begin(), all.end(),
                   [](auto const& a, auto const& b) { return a.second > b.second; });
  std::string list;
  for (std::size_t i = 0; i < std::min(all.size(), kNamed); ++i) {
    list += (i == 0 ? "\"" : ", \"") + all[i].first + "\" " +
            (all[i].second == 1 ? "once" : human_count(all[i].second) + " times");
  }
  return all.size() > kNamed ? list + " and others" : list;
}

void Finding::add(std::string const& where) {
  if (count++ == 0) first = where;
}

void Finding::add(Finding const& more) {
  if (count == 0) first = more.first;
  count += more.count;
}

void TooLongFound::add(std::int64_t length, std::string const& place) {
  add(TooLongFound{1, length, place});
}

void TooLongFound::add(TooLongFound const& more) {
  count += more.count;
  if (more.longest <= longest) return;
  longest = more.longest;
  where = more.where;
}

void ChatStatistics::add(ChatStatistics const& more) {
  conversations += more.conversations;
  truncated += more.truncated;
  too_long.add(more.too_long);
  without_loss.add(more.without_loss);
  turns_rewritten += more.turns_rewritten;
  special_tokens.add(more.special_tokens);
  for (auto const& [text, count] : more.special_token_counts) special_token_counts[text] += count;
  ignored_reasoning += more.ignored_reasoning;
  ignored_tool_calls += more.ignored_tool_calls;
  ignored_tools += more.ignored_tools;
}

void DataStatistics::add(DataStatistics const& more) {
  examples += more.examples;
  too_long.add(more.too_long);
  no_tokens.add(more.no_tokens);
  unknown.add(more.unknown);
  joined_space.add(more.joined_space);
  same_candidates.add(more.same_candidates);
  special_texts.add(more.special_texts);
  for (auto const& [text, count] : more.special_text_counts) special_text_counts[text] += count;
  unknown_ids += more.unknown_ids;
  chat.add(more.chat);
}

void count_special(Tokenizer const& tokenizer, std::string_view text, std::string const& where,
                   DataStatistics& found) {
  if (tokenizer.parses_special()) return;
  if (tokenizer.count_special(text, found.special_text_counts)) found.special_texts.add(where);
}

namespace {

std::vector<std::string> chat_warnings(ChatStatistics const& found, std::string const& what) {
  std::vector<std::string> all;
  const auto say = [&](std::int64_t count, std::string const& one, std::string const& rest,
                       std::string const& first = {}) {
    if (count == 0) return;
    all.push_back(counted(count, what + " " + one) + rest +
                  (first.empty() ? "" : (count == 1 ? ": " : "; the first is ") + first));
  };
  say(found.truncated, "conversation", " lost the earliest turns, to fit in data.max_length");
  say(found.too_long.count, "conversation",
      " left out: the last turn alone is longer than data.max_length", found.too_long.first);
  say(found.without_loss.count, "conversation", " left out: nothing carries loss",
      found.without_loss.first);
  say(found.turns_rewritten, "answer", " without loss: the template rewrites them in later turns");
  say(found.special_tokens.count, "special token",
      " inside of messages, read as tokens (" + special_list(found.special_token_counts) + ")",
      found.special_tokens.first);
  say(found.ignored_reasoning, "conversation",
      " with \"reasoning_content\", which the template does not read");
  say(found.ignored_tool_calls, "conversation",
      " with \"tool_calls\", which the template does not read");
  say(found.ignored_tools, "conversation", " with \"tools\", which the template does not read");
  return all;
}

}  // namespace

std::vector<std::string> data_warnings(DataStatistics const& found, std::string const& what,
                                       std::int64_t max_length, TooLong too_long) {
  std::vector<std::string> all = chat_warnings(found.chat, what);
  const auto examples = [&](Finding const& finding) {
    return counted(finding.count, what + " example") + first_of(finding);
  };
  if (TooLongFound const& t = found.too_long; t.count > 0) {
    all.push_back(counted(t.count, what + " example") + have(t.count) +
                  "an answer of more than data.max_length " + human_count(max_length) +
                  (too_long == TooLong::skip ? " tokens and " : " tokens, and its end ") +
                  (too_long == TooLong::cut ? "is cut"
                   : t.count == 1           ? "is left out"
                                            : "are left out") +
                  ": the longest has " + human_count(t.longest) + " (" + t.where + ")");
  }
  if (found.no_tokens.count > 0) {
    all.push_back(examples(found.no_tokens) + have(found.no_tokens.count) +
                  "an answer without a token of its own: only the end of the text is learnt");
  }
  if (found.unknown.count > 0) {
    all.push_back(examples(found.unknown) + have(found.unknown.count) +
                  "an answer that is <unk> throughout: the tokenizer cannot express it");
  }
  if (found.unknown_ids > 0) {
    all.push_back(counted(found.unknown_ids, "token") + " of the " + what +
                  (found.unknown_ids == 1 ? " data is" : " data are") +
                  " <unk>: the tokenizer has no piece for what stands there");
  }
  if (found.same_candidates.count > 0) {
    all.push_back(examples(found.same_candidates) + have(found.same_candidates.count) +
                  "candidates of the same tokens, between which nothing can choose");
  }
  if (found.special_texts.count > 0) {
    all.push_back("special tokens are written in " + examples(found.special_texts) + ": " +
                  special_list(found.special_text_counts) +
                  ". They are read as characters; data.parse_special true reads them as tokens");
  }
  return all;
}

void refuse_too_long(TooLongFound const& found, std::string const& what, std::int64_t total,
                     std::int64_t max_length) {
  throw Error(Exit::data, human_count(found.count) + " of " + human_count(total) + " " + what +
                              (found.count == 1 ? " is longer than" : " are longer than") +
                              " data.max_length " + human_count(max_length) + ": the longest has " +
                              counted(found.longest, "token") + " (" + found.where +
                              "). Raise data.max_length to " + std::to_string(found.longest) +
                              ", or set data.too_long to \"skip\" or \"cut\"");
}

void require_learnable(DataStatistics const& found) {
  if (found.examples == 0) return;
  const std::int64_t empty = found.no_tokens.count + found.unknown.count;
  if (empty < found.examples) return;
  Finding const& finding = found.unknown.count > 0 ? found.unknown : found.no_tokens;
  throw Error(Exit::data,
              finding.first + ": no answer of the training data has a token to learn, " +
                  (found.unknown.count > 0
                       ? "all are <unk>: the tokenizer cannot express them. Does it belong to "
                         "these data?"
                       : "all are blank. Is data.answer_field the right field?"));
}

}  // namespace lomo
