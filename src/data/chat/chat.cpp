#include "lomo/data/chat.h"

#include <algorithm>
#include <utility>

#include "lomo/core/error.h"

namespace lomo {

namespace {

/// The texts of a message's content.
std::vector<std::string> texts_of(OrderedJson const& message) {
  std::vector<std::string> texts;
  const auto content = message.find("content");
  if (content == message.end()) return texts;
  if (content->is_string()) return {content->get<std::string>()};
  for (OrderedJson const& part : *content) texts.push_back(part["text"].get<std::string>());
  return texts;
}

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

/// Ids with a mark on those that share a byte with a part that carries loss.
struct Encoded {
  std::vector<TokenSpan> tokens;
  std::vector<bool> loss;
};

Encoded encode(Tokenizer const& tokenizer, MarkedText const& marked) {
  Encoded encoded{tokenizer.encode_with_offsets(marked.text), {}};
  for (TokenSpan const& token : encoded.tokens) {
    encoded.loss.push_back(std::any_of(
        marked.loss.begin(), marked.loss.end(),
        [&](jinja::Span const& span) { return token.begin < span.end && span.begin < token.end; }));
  }
  return encoded;
}

Sequence sequence_of(Encoded const& encoded) {
  Sequence sequence;
  for (std::size_t i = 0; i + 1 < encoded.tokens.size(); ++i) {
    sequence.tokens.push_back(encoded.tokens[i].id);
    sequence.targets.push_back(encoded.loss[i + 1] ? encoded.tokens[i + 1].id : kNoTarget);
  }
  return sequence;
}

/// The messages without `turns` of the earliest turns; none when nothing would be left of them.
/// System messages at the start stay.
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

/// Makes sequences of conversations and keeps the report.
class Builder {
 public:
  Builder(ChatTemplate const& chat, Tokenizer const& tokenizer, std::int64_t max_length,
          LossOn loss_on)
      : chat_(chat), tokenizer_(tokenizer), max_length_(max_length), loss_on_(loss_on) {}

  void add(Conversation const& conversation) {
    const std::int64_t index = report_.conversations++;
    count_ignored(conversation);
    const OrderedJson messages = readable(chat_, conversation.messages);
    std::size_t dropped = 0;
    MarkedText marked = mark(messages, conversation);
    Encoded encoded = encode(tokenizer_, marked);
    OrderedJson left = messages;
    while (!fits(encoded)) {
      left = without_turns(messages, ++dropped);
      if (left.empty()) return report_.too_long.add(conversation.where);
      marked = mark(left, conversation);
      encoded = encode(tokenizer_, marked);
    }
    report_.turns_rewritten += marked.turns_rewritten;
    Sequence sequence = sequence_of(encoded);
    const bool learns = std::any_of(sequence.targets.begin(), sequence.targets.end(),
                                    [](std::int32_t target) { return target != kNoTarget; });
    if (!learns) return report_.without_loss.add(conversation.where);
    count_special(left, conversation);
    report_.truncated += dropped > 0 ? 1 : 0;
    data_.truncated += dropped > 0 ? 1 : 0;
    data_.add(sequence, conversation.where, index);
  }

  Dataset take() { return std::move(data_); }

 private:
  bool fits(Encoded const& encoded) const {
    return max_length_ <= 0 || std::cmp_less_equal(encoded.tokens.size(), max_length_ + 1);
  }

  MarkedText mark(OrderedJson const& messages, Conversation const& conversation) const {
    try {
      return mark_loss(chat_, tokenizer_, messages, conversation.tools, loss_on_);
    } catch (Error const& error) {
      throw Error(error.code(), conversation.where + ": " + error.what());
    }
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
        for (TokenSpan const& token : tokenizer_.encode_with_offsets(text)) {
          if (token.special) report_.special_tokens.add(conversation.where);
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

}  // namespace

Dataset encode_conversations(ChatTemplate const& chat, Tokenizer const& tokenizer,
                             std::span<Conversation const> conversations, std::int64_t max_length,
                             LossOn loss_on) {
  Builder builder(chat, tokenizer, max_length, loss_on);
  for (Conversation const& conversation : conversations) builder.add(conversation);
  return builder.take();
}

}  // namespace lomo
