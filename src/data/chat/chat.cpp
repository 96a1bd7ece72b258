#include "lomo/data/chat.h"

#include <algorithm>
#include <utility>

#include "lomo/core/error.h"

namespace lomo {

namespace {

/// Lists of parts become one text for a template that knows none.
OrderedJson readable(ChatTemplate const& chat, OrderedJson messages) {
  if (chat.mentions("text")) return messages;
  for (OrderedJson& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    std::string all;
    for (std::string const& text : texts_of(message)) all += text;
    *content = all;
  }
  return messages;
}

bool any_has(OrderedJson const& messages, char const* field) {
  return std::any_of(messages.begin(), messages.end(),
                     [&](OrderedJson const& message) { return message.contains(field); });
}

Sequence sequence_of(EncodedChat const& encoded) {
  Sequence sequence;
  for (std::size_t i = 0; i + 1 < encoded.tokens.size(); ++i) {
    sequence.tokens.push_back(encoded.tokens[i].id);
    sequence.targets.push_back(encoded.loss[i + 1] ? encoded.tokens[i + 1].id : kNoTarget);
  }
  return sequence;
}

/// Makes sequences of conversations and keeps the report.
class ChatBuilder {
 public:
  ChatBuilder(ChatTemplate const& chat, Tokenizer const& tokenizer, std::int64_t max_length,
              LossOn loss_on)
      : chat_(chat), tokenizer_(tokenizer), max_length_(max_length), loss_on_(loss_on) {}

  void add(Conversation const& conversation) {
    const std::int64_t index = report_.conversations++;
    count_ignored(conversation);
    std::size_t dropped = 0;
    Conversation left = conversation;
    EncodedChat encoded = encode_chat(chat_, tokenizer_, left, loss_on_);
    while (!fits(encoded)) {
      left.messages = without_turns(conversation.messages, ++dropped);
      if (left.messages.empty()) return report_.too_long.add(conversation.where);
      encoded = encode_chat(chat_, tokenizer_, left, loss_on_);
    }
    report_.turns_rewritten += encoded.marked.turns_rewritten;
    Sequence sequence = sequence_of(encoded);
    const bool learns = std::any_of(sequence.targets.begin(), sequence.targets.end(),
                                    [](std::int32_t target) { return target != kNoTarget; });
    if (!learns) return report_.without_loss.add(conversation.where);
    count_special(left.messages, conversation);
    report_.truncated += dropped > 0 ? 1 : 0;
    data_.truncated += dropped > 0 ? 1 : 0;
    data_.add(sequence, conversation.where, index);
  }

  Dataset take() { return std::move(data_); }

 private:
  bool fits(EncodedChat const& encoded) const {
    return max_length_ <= 0 || std::cmp_less_equal(encoded.tokens.size(), max_length_ + 1);
  }

  void count_ignored(Conversation const& conversation) {
    const auto ignored = [&](char const* field) {
      return any_has(conversation.messages, field) && !chat_.mentions(field);
    };
    report_.ignored_reasoning += ignored("reasoning_content") ? 1 : 0;
    report_.ignored_tool_calls += ignored("tool_calls") ? 1 : 0;
    report_.ignored_tools += !conversation.tools.is_null() && !chat_.mentions("tools") ? 1 : 0;
  }

  void count_special(OrderedJson const& messages, Conversation const& conversation) {
    for (OrderedJson const& message : messages) {
      for (std::string const& text : texts_of(message)) {
        std::map<std::string, std::int64_t> found;
        tokenizer_.count_special(text, found);
        for (auto const& [token, count] : found) {
          report_.special_token_counts[token] += count;
          for (std::int64_t i = 0; i < count; ++i) report_.special_tokens.add(conversation.where);
        }
      }
    }
  }

  ChatTemplate const& chat_;
  Tokenizer const& tokenizer_;
  std::int64_t max_length_;
  LossOn loss_on_;
  Dataset data_;
  ChatStatistics& report_ = data_.statistics.chat;
};

/// The template's, where that is a special token; else, or where the template refuses a
/// conversation of one question and one answer, -1.
std::int32_t end_of_turn(ChatTemplate const& chat, Tokenizer const& tokenizer) try {
  Conversation one;
  one.messages = {{{"role", "user"}, {"content", "A"}}, {{"role", "assistant"}, {"content", "B"}}};
  const EncodedChat encoded = encode_chat(chat, tokenizer, one, LossOn::all_answers);
  const auto last = std::find(encoded.loss.rbegin(), encoded.loss.rend(), true);
  if (last == encoded.loss.rend()) return -1;
  TokenSpan const& token = encoded.tokens[static_cast<std::size_t>(encoded.loss.rend() - last) - 1];
  return token.special ? token.id : -1;
} catch (Error const&) {
  return -1;
}

}  // namespace

EncodedChat encode_chat(ChatTemplate const& chat, Tokenizer const& tokenizer,
                        Conversation const& conversation, LossOn loss_on, bool open) try {
  EncodedChat encoded;
  encoded.marked = mark_loss(chat, tokenizer, readable(chat, conversation.messages),
                             conversation.tools, loss_on, open);
  encoded.tokens = tokenizer.encode_with_offsets(encoded.marked.text);
  for (TokenSpan const& token : encoded.tokens) {
    encoded.loss.push_back(std::any_of(
        encoded.marked.loss.begin(), encoded.marked.loss.end(), [&](jinja::Span const& span) {
          // What the tokenizer puts in before an answer, a token of its own, is written with it.
          const std::size_t end = std::max(token.end, token.begin + 1);
          return token.begin < span.end && span.begin < end;
        }));
  }
  return encoded;
} catch (Error const& error) {
  throw Error(error.code(), conversation.where + ": " + error.what());
}

std::vector<std::int32_t> encode_open_chat(ChatTemplate const& chat, Tokenizer const& tokenizer,
                                           Conversation const& conversation) try {
  const OrderedJson messages = readable(chat, conversation.messages);
  return tokenizer.encode(chat.render(messages, conversation.tools, true).text, true);
} catch (Error const& error) {
  throw Error(error.code(), conversation.where + ": " + error.what());
}

OrderedJson without_turns(OrderedJson const& messages, std::size_t turns) {
  std::vector<std::size_t> starts;
  std::size_t system = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string role = messages[i].value("role", "");
    if (system == i && (role == "system" || role == "developer")) ++system;
    if (role == "user") starts.push_back(i);
  }
  OrderedJson left = OrderedJson::array();
  if (turns == 0) return messages;
  if (turns >= starts.size()) return left;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (i < system || i >= starts[turns]) left.push_back(messages[i]);
  }
  return left;
}

AnswerEnds answer_ends(ChatTemplate const& chat, Tokenizer const& tokenizer) {
  AnswerEnds ends{tokenizer.stops(), false};
  const std::int32_t turn = end_of_turn(chat, tokenizer);
  if (turn < 0) return ends;
  ends.template_ends_turns = true;
  if (std::find(ends.stops.begin(), ends.stops.end(), turn) == ends.stops.end()) {
    ends.stops.push_back(turn);
  }
  return ends;
}

Dataset encode_conversations(ChatTemplate const& chat, Tokenizer const& tokenizer,
                             std::span<Conversation const> conversations, std::int64_t max_length,
                             LossOn loss_on) {
  ChatBuilder builder(chat, tokenizer, max_length, loss_on);
  for (Conversation const& conversation : conversations) builder.add(conversation);
  return builder.take();
}

}  // namespace lomo
