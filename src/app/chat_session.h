#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/data/chat.h"
#include "writer.h"

namespace lomo::app {

/// A conversation with a model, rendered by its chat template.
class ChatSession {
 public:
  /// `system`: the first message, empty: none. Answers have at most `max_tokens` tokens. They end
  /// at any of the tokenizer's stops, and where the template ends a turn.
  ChatSession(ChatTemplate const& chat, Tokenizer const& tokenizer, std::string const& system,
              std::int64_t max_tokens);

  /// Adds a question.
  void ask(std::string const& question);
  /// Tokens of the conversation up to the answer.
  std::int64_t length() const { return static_cast<std::int64_t>(ids_.size()); }
  /// Writes the answer to stdout as it grows, and adds it to the conversation. Ctrl-C stops it.
  void answer(Writer& writer);
  /// Asks what stdin says, a question a line, until its end or /exit. A conversation that leaves no
  /// room for an answer in `context` tokens loses its earliest turns.
  void talk(Writer& writer, std::int64_t context);

 private:
  bool make_room(std::int64_t context);
  void encode() { ids_ = encode_open_chat(chat_, tokenizer_, conversation_); }

  ChatTemplate const& chat_;
  Tokenizer const& tokenizer_;
  std::int64_t max_tokens_;
  std::vector<std::int32_t> stops_;
  Conversation conversation_;
  std::vector<std::int32_t> ids_;  // up to the next answer
  bool read_ = true;               // whether somebody reads stdout
};

}  // namespace lomo::app
