#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lomo {

/// Keeps the order of keys, which chat templates can see.
using OrderedJson = nlohmann::ordered_json;

/// A conversation as chat templates read it.
struct Conversation {
  /// Objects with `role` and `content` (a text, or a list of parts {"type": "text", "text"}); and
  /// `reasoning_content`, `tool_calls` and whatever else the file says. Members that are null are
  /// left out; `reasoning` and `thinking` are renamed to `reasoning_content`, as transformers does.
  OrderedJson messages = OrderedJson::array();
  OrderedJson tools;      // a list, or null
  std::string where;      // "train.jsonl:17", or "train.json#17" in a list
  std::size_t bytes = 0;  // about how much text it is
};

/// Which part of a conversation carries loss.
enum class LossOn : std::uint8_t { all_answers, last_answer, everything };

/// How a file writes conversations.
enum class ChatFormat : std::uint8_t {
  automatic,   // as the fields of the first record say
  messages,    // "messages": [{"role", "content"}], "tools"
  sharegpt,    // "conversations": [{"from": human|gpt|system|tool, "value"}], "system", "tools"
  alpaca,      // "instruction", "input", "output", "system", "history": [[question, answer]]
  completion,  // "prompt", "completion": texts, or lists of messages
};

/// One record. Errors name `where` and the field.
Conversation parse_conversation(std::string_view record, std::string const& where,
                                ChatFormat format);

/// The texts of a message's content.
std::vector<std::string> texts_of(OrderedJson const& message);

/// Gives `take` the conversations of a file: one record a line, or one JSON list. Throws
/// Error(Exit::data) naming file, record and field for what cannot be read, is nested more than 64
/// levels deep, has a role or a part of content that is not supported, or is in no known format.
void read_conversations(std::filesystem::path const& file, ChatFormat format,
                        std::function<void(Conversation)> const& take);

}  // namespace lomo
