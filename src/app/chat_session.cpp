#include "chat_session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/data_statistics.h"
#include "lomo/launch/stop.h"

namespace lomo::app {

ChatSession::ChatSession(ChatTemplate const& chat, Tokenizer const& tokenizer,
                         std::string const& system, std::int64_t max_tokens)
    : chat_(chat),
      tokenizer_(tokenizer),
      max_tokens_(max_tokens),
      stops_(answer_ends(chat, tokenizer).stops) {
  conversation_.where = "the conversation";
  if (!system.empty()) {
    conversation_.messages.push_back({{"role", "system"}, {"content", system}});
  }
  if (stops_.empty()) {
    log::warn("nothing is known to end an answer: each goes on to --max-tokens {}", max_tokens);
  }
}

void ChatSession::ask(std::string const& question) {
  std::map<std::string, std::int64_t> special;
  if (tokenizer_.count_special(question, special)) {
    log::warn("special tokens are written in the question and read as tokens: {}",
              special_list(special));
  }
  conversation_.messages.push_back({{"role", "user"}, {"content", question}});
  encode();
}

void ChatSession::answer(Writer& writer) {
  const launch::Interruptible interruptible;
  const auto begin = static_cast<std::ptrdiff_t>(ids_.size());
  const auto text = [&] { return tokenizer_.decode({ids_.begin() + begin, ids_.end()}); };
  GrowingText shown;
  writer.write(ids_, max_tokens_, stops_, "", [&] {
    read_ = shown.show(text());
    return read_ && !launch::Interruptible::interrupted();
  });
  if (read_) shown.finish(text());
  conversation_.messages.push_back({{"role", "assistant"}, {"content", text()}});
}

bool ChatSession::make_room(std::int64_t context) {
  const OrderedJson all = conversation_.messages;
  std::size_t lost = 0;
  while (length() + max_tokens_ > context) {
    const OrderedJson left = without_turns(all, ++lost);
    if (left.empty()) return false;
    conversation_.messages = left;
    encode();
  }
  if (lost > 0) {
    log::warn("the conversation lost its {}, to leave room for an answer",
              lost == 1 ? "earliest turn" : "earliest " + std::to_string(lost) + " turns");
  }
  return true;
}

void ChatSession::talk(Writer& writer, std::int64_t context) {
  const bool typed = isatty(STDIN_FILENO) == 1;
  while (read_) {
    if (typed) std::fputs("> ", stderr);
    std::string line;
    if (!std::getline(std::cin, line)) {
      if (typed) std::fputs("\n", stderr);
      return;
    }
    if (line == "/exit") return;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Conversation before = conversation_;
    ask(line);
    if (make_room(context)) {
      answer(writer);
    } else {
      log::error(
          "the question leaves no room for {} tokens of an answer in {}: raise --context, or "
          "lower --max-tokens",
          max_tokens_, context);
      conversation_ = before;
    }
  }
}

}  // namespace lomo::app
