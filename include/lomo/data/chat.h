#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/chat_template.h"
#include "lomo/data/conversation.h"
#include "lomo/data/dataset.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// A rendered conversation and the bytes of it that carry loss.
struct MarkedText {
  std::string text;
  std::vector<jinja::Span> loss;
  std::int64_t turns = 0;            // answers of the assistant
  std::int64_t turns_rewritten = 0;  // that carry no loss, since the template rewrites them
};

/// Renders `messages` and finds what carries loss.
///
/// Where the template has generation blocks it is what they write, exactly; the last answer's are
/// those beyond what the rendering has in common with that of the messages before it.
///
/// Else it is found by rendering prefixes. For the assistant's message i, let
///   open   = the rendering of the messages before i, with add_generation_prompt,
///   closed = the rendering of the messages up to i, without,
///   full   = the rendering of all messages, without.
/// The answer begins where `open` ends, if `closed` and `full` begin with `open`. The closing of a
/// turn is what the template writes after the content: the longest common end of two renderings
/// whose message i says two different things. The answer ends after the first special token of the
/// closing, or else after the closing without whitespace at its end; or before the closing, where
/// `full` goes on otherwise. A turn of which `full` does not have the content as `closed` has it
/// (a template that strips what was thought, for example) or whose prefix the template refuses
/// carries no loss and is counted.
///
/// `open`: `full` is rendered with add_generation_prompt, which carries no loss unless everything
/// does.
MarkedText mark_loss(ChatTemplate const& chat, Tokenizer const& tokenizer,
                     OrderedJson const& messages, OrderedJson const& tools, LossOn loss_on,
                     bool open = false);

/// A rendered conversation as the model reads it, special tokens as tokens.
struct EncodedChat {
  MarkedText marked;
  std::vector<TokenSpan> tokens;
  /// Of each token: whether it shares a byte with a part that carries loss, or has none and is put
  /// in there by the tokenizer.
  std::vector<bool> loss;
};

/// Renders, marks and encodes. Lists of text parts become one text for a template that does not
/// read them. Throws Error(Exit::data) with the place of a conversation that the template refuses.
EncodedChat encode_chat(ChatTemplate const& chat, Tokenizer const& tokenizer,
                        Conversation const& conversation, LossOn loss_on, bool open = false);

/// The ids that an answer to these messages follows: their rendering with add_generation_prompt.
/// Throws as encode_chat().
std::vector<std::int32_t> encode_open_chat(ChatTemplate const& chat, Tokenizer const& tokenizer,
                                           Conversation const& conversation);

/// The tokens that end an answer.
struct AnswerEnds {
  /// The tokenizer's stops, and the template's end of a turn.
  std::vector<std::int32_t> stops;
  /// Whether the template ends a turn with a special token: the last token with loss of a
  /// conversation of one question and one answer is one, and the template does not refuse it.
  bool template_ends_turns = false;
};
AnswerEnds answer_ends(ChatTemplate const& chat, Tokenizer const& tokenizer);

/// The messages without `turns` of the earliest turns: all before the second, third ... message of
/// the user, system messages at the start apart. None when nothing would be left of them.
OrderedJson without_turns(OrderedJson const& messages, std::size_t turns);

/// One sequence a conversation. Tokens with loss are targets. One of more than max_length + 1 ids
/// (0: no limit) loses whole turns, the earliest first, see without_turns(). Throws
/// Error(Exit::data) with the place of a conversation that the template refuses.
Dataset encode_conversations(ChatTemplate const& chat, Tokenizer const& tokenizer,
                             std::span<Conversation const> conversations, std::int64_t max_length,
                             LossOn loss_on);

}  // namespace lomo
