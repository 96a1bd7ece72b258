#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/chat_template.h"
#include "lomo/data/conversation.h"
#include "lomo/data/dataset.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// Which part of a conversation carries loss.
enum class LossOn : std::uint8_t { all_answers, last_answer, everything };

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
MarkedText mark_loss(ChatTemplate const& chat, Tokenizer const& tokenizer,
                     OrderedJson const& messages, OrderedJson const& tools, LossOn loss_on);

/// One sequence a conversation. Ids that share a byte with a part that carries loss are targets,
/// as transformers has it. One of more than max_length + 1 ids (0: no limit) loses whole turns, the
/// earliest first: all messages before the second, third ... message of the user, system messages
/// at the start apart. Throws Error(Exit::data) with the place of a conversation that the template
/// refuses.
Dataset encode_conversations(ChatTemplate const& chat, Tokenizer const& tokenizer,
                             std::span<Conversation const> conversations, std::int64_t max_length,
                             LossOn loss_on);

}  // namespace lomo
