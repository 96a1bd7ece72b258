#include <algorithm>
#include <optional>

#include "lomo/core/error.h"
#include "lomo/data/chat.h"

namespace lomo {

namespace {

std::size_t common_start(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

std::size_t common_end(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first -
                                  a.rbegin());
}

/// The bytes at the start of `closing` that end a turn: up to and with the first special token, or
/// else all but the whitespace at the end.
std::size_t end_of_turn(Tokenizer const& tokenizer, std::string_view closing) {
  for (TokenSpan const& token : tokenizer.encode_with_offsets(closing)) {
    if (token.special) return token.end;
  }
  const std::size_t last = closing.find_last_not_of(" \t\r\n");
  return last == std::string_view::npos ? 0 : last + 1;
}

/// Renders prefixes of one conversation. Nothing where the template refuses one.
class Prefixes {
 public:
  Prefixes(ChatTemplate const& chat, Tokenizer const& tokenizer, OrderedJson const& messages,
           OrderedJson const& tools, std::string const& full)
      : chat_(chat), tokenizer_(tokenizer), messages_(messages), tools_(tools), full_(full) {}

  /// What carries loss of message i, the assistant's; see mark_loss.
  std::optional<jinja::Span> answer(std::size_t i) const {
    const auto open = render(prefix(i), true);
    const auto closed = render(prefix(i + 1), false);
    if (!open || !closed || !closed->starts_with(*open) || !full_.starts_with(*open)) {
      return std::nullopt;
    }
    const std::size_t begin = open->size();
    const std::size_t shared = common_start(*closed, full_);
    const std::size_t closing = std::min(closing_size(i, *closed), closed->size() - begin);
    const std::size_t content_end = closed->size() - closing;
    if (shared < content_end) return std::nullopt;
    const std::size_t end = content_end + end_of_turn(tokenizer_, std::string_view(*closed).substr(
                                                                      content_end, closing));
    return jinja::Span{begin, shared < end ? content_end : end};
  }

 private:
  OrderedJson prefix(std::size_t count) const {
    OrderedJson some = OrderedJson::array();
    for (std::size_t i = 0; i < count; ++i) some.push_back(messages_[i]);
    return some;
  }

  std::optional<std::string> render(OrderedJson const& messages, bool open) const {
    try {
      return chat_.render(messages, tools_, open).text;
    } catch (Error const&) {
      return std::nullopt;
    }
  }

  /// How much of the end of `closed` the template writes after any content of message i.
  std::size_t closing_size(std::size_t i, std::string const& closed) const {
    OrderedJson messages = prefix(i);
    const auto said = [&](char const* content) {
      messages.push_back({{"role", messages_[i]["role"]}, {"content", content}});
      auto text = render(messages, false);
      messages.erase(messages.size() - 1);
      return text;
    };
    const auto one = said("A"), other = said("B");
    if (!one || !other) return 0;
    const std::string_view closing =
        std::string_view(*one).substr(one->size() - common_end(*one, *other));
    return common_end(closing, closed);
  }

  ChatTemplate const& chat_;
  Tokenizer const& tokenizer_;
  OrderedJson const& messages_;
  OrderedJson const& tools_;
  std::string const& full_;
};

std::vector<std::size_t> answers(OrderedJson const& messages) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].value("role", "") == "assistant") all.push_back(i);
  }
  return all;
}

/// What a template with generation blocks wrote in them.
std::vector<jinja::Span> generated(ChatTemplate const& chat, jinja::Rendering const& full,
                                   OrderedJson const& messages, OrderedJson const& tools,
                                   std::vector<std::size_t> const& turns, LossOn loss_on) {
  if (loss_on == LossOn::all_answers || turns.empty()) return full.generation;
  std::size_t last = 0;
  if (turns.back() > 0) {
    OrderedJson before = OrderedJson::array();
    for (std::size_t i = 0; i < turns.back(); ++i) before.push_back(messages[i]);
    last = common_start(chat.render(before, tools, false).text, full.text);
  }
  std::vector<jinja::Span> spans = full.generation;
  std::erase_if(spans, [&](jinja::Span const& span) { return span.end <= last; });
  return spans;
}

}  // namespace

MarkedText mark_loss(ChatTemplate const& chat, Tokenizer const& tokenizer,
                     OrderedJson const& messages, OrderedJson const& tools, LossOn loss_on,
                     bool open) {
  jinja::Rendering full = chat.render(messages, tools, open);
  MarkedText marked;
  std::vector<std::size_t> turns = answers(messages);
  marked.turns = static_cast<std::int64_t>(turns.size());
  if (loss_on == LossOn::everything) {
    marked.loss = {{0, full.text.size()}};
  } else if (chat.has_generation()) {
    marked.loss = generated(chat, full, messages, tools, turns, loss_on);
  } else {
    const Prefixes prefixes(chat, tokenizer, messages, tools, full.text);
    if (loss_on == LossOn::last_answer && turns.size() > 1) turns = {turns.back()};
    for (const std::size_t turn : turns) {
      const auto span = prefixes.answer(turn);
      if (span && span->begin < span->end) {
        marked.loss.push_back(*span);
      } else {
        ++marked.turns_rewritten;
      }
    }
  }
  marked.text = std::move(full.text);
  return marked;
}

}  // namespace lomo
