#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/data/tokenizer.h"
#include "lomo/io/json.h"

namespace lomo {

/// How many examples something was found in, and the first of them.
struct Finding {
  std::int64_t count = 0;
  std::string first;  // "train.jsonl:17"
  void add(std::string const& where);
  void add(Finding const& more);
};

/// Answers and lists of ids of more than data.max_length, and the longest of them.
struct TooLongFound {
  std::int64_t count = 0;
  std::int64_t longest = 0;  // ids
  std::string where;         // of the longest
  void add(std::int64_t length, std::string const& place);
  void add(TooLongFound const& more);
};

/// What is done with an answer that data.max_length has no room for, even without its prompt.
enum class TooLong : std::uint8_t {
  error,
  skip,  // leave the example out
  cut,   // keep the answer's start, and of the prompt at most half of data.max_length; no eos
};

/// What became of conversations.
struct ChatStatistics {
  std::int64_t conversations = 0;
  std::int64_t truncated = 0;        // lost their earliest turns
  Finding too_long;                  // left out: the last turn alone is too long
  Finding without_loss;              // left out: nothing in them carries loss
  std::int64_t turns_rewritten = 0;  // answers without loss, see MarkedText
  Finding special_tokens;            // that stand inside of messages, each counted
  std::map<std::string, std::int64_t> special_token_counts;
  // Conversations with parts that the template does not read.
  std::int64_t ignored_reasoning = 0, ignored_tool_calls = 0, ignored_tools = 0;
  void add(ChatStatistics const& more);
};

/// What encoding found in a data set that its ids do not tell, or that is no error and yet seldom
/// meant.
struct DataStatistics {
  std::int64_t examples = 0;
  TooLongFound too_long;    // skipped or cut
  Finding no_tokens;        // answers without a token of their own: only eos carries loss
  Finding unknown;          // answers that are <unk> throughout
  Finding joined_space;     // prompts whose last space is part of the answer's first token
  Finding same_candidates;  // candidates with the same ids: one cannot win
  Finding special_texts;    // special tokens written in the text, which are read as characters
  std::map<std::string, std::int64_t> special_text_counts;
  std::int64_t unknown_ids = 0;  // <unk> among all ids
  ChatStatistics chat;
  void add(DataStatistics const& more);
};

/// Counts the special tokens that `text`, of the example at `where`, spells out, unless the
/// tokenizer reads them as tokens.
void count_special(Tokenizer const& tokenizer, std::string_view text, std::string const& where,
                   DataStatistics& found);

/// The most frequent of them, for a message: "<s>" 12 times, "</s>" once.
std::string special_list(std::map<std::string, std::int64_t> const& counts);

/// The warnings that they are worth, a sentence each. `what` is "training" or "evaluation".
std::vector<std::string> data_warnings(DataStatistics const& found, std::string const& what,
                                       std::int64_t max_length, TooLong too_long);

/// As statistics_of() reads them; that throws the library's error for any other JSON.
Json to_json(DataStatistics const& statistics);
DataStatistics statistics_of(Json const& json);

/// Throws Error(Exit::data) that counts what is too long among `total` and names the longest.
[[noreturn]] void refuse_too_long(TooLongFound const& found, std::string const& what,
                                  std::int64_t total, std::int64_t max_length);

/// Throws Error(Exit::data) when no answer has a token that is learnt beside eos.
void require_learnable(DataStatistics const& found);

}  // namespace lomo
