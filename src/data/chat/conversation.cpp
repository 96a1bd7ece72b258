#include "lomo/data/conversation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "../formats.h"
#include "../lines.h"
#include "../text.h"
#include "lomo/core/error.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr int kDeepest = 64;

/// A value as an error shows it.
std::string shown(OrderedJson const& value) {
  std::string text = value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

OrderedJson parse(std::string_view text, std::string const& where) {
  using Event = OrderedJson::parse_event_t;
  const auto watch = [&](int depth, Event event, OrderedJson&) {
    if (depth >= kDeepest && (event == Event::object_start || event == Event::array_start)) {
      throw Error(Exit::data,
                  where + ": nested more than " + std::to_string(kDeepest) + " levels deep");
    }
    return true;
  };
  try {
    return OrderedJson::parse(text, watch);
  } catch (OrderedJson::parse_error const& error) {
    throw Error(Exit::data, where + ": not valid JSON at byte " + std::to_string(error.byte));
  } catch (OrderedJson::exception const&) {
    throw Error(Exit::data, where + ": not valid JSON (a number out of range?)");
  }
}

/// One record, whose fields are asked for with errors that name its place.
class Fields {
 public:
  Fields(OrderedJson const& record, std::string const& where) : record_(record), where_(where) {}

  [[noreturn]] void fail(std::string const& field, std::string const& problem) const {
    throw Error(Exit::data, where_ + ": field \"" + field + "\" " + problem);
  }
  /// Null when the field is absent or null.
  OrderedJson const* find(std::string const& field) const {
    const auto at = record_.find(field);
    return at == record_.end() || at->is_null() ? nullptr : &*at;
  }
  OrderedJson const& at(std::string const& field) const {
    OrderedJson const* value = find(field);
    if (value == nullptr) fail(field, "is missing");
    return *value;
  }
  OrderedJson const& list(std::string const& field) const {
    OrderedJson const& value = at(field);
    if (!value.is_array()) fail(field, "must be a list, not " + shown(value));
    return value;
  }
  std::string text(std::string const& field) const {
    OrderedJson const& value = at(field);
    if (!value.is_string()) fail(field, "must be a text, not " + shown(value));
    return value.get<std::string>();
  }
  std::string text_or_empty(std::string const& field) const {
    return find(field) == nullptr ? std::string() : text(field);
  }

 private:
  OrderedJson const& record_;
  std::string const& where_;
};

OrderedJson message(std::string const& role, std::string const& content) {
  return {{"role", role}, {"content", content}};
}

void check_content(Fields const& fields, std::string const& field, OrderedJson const& content) {
  if (content.is_string()) return;
  if (!content.is_array()) fields.fail(field, "must be a text or a list of parts");
  for (OrderedJson const& part : content) {
    const bool text = part.is_object() && part.contains("text") && part["text"].is_string() &&
                      (!part.contains("type") || part["type"] == "text");
    if (!text) fields.fail(field, "holds " + shown(part) + "; only parts of text are supported");
  }
}

/// A message as it is in the file, checked, without what is null.
OrderedJson checked_message(Fields const& fields, std::string const& field,
                            OrderedJson const& given) {
  if (!given.is_object()) fields.fail(field, "must be an object, not " + shown(given));
  OrderedJson out = OrderedJson::object();
  OrderedJson reasoning;
  for (auto const& [key, value] : given.items()) {
    if (value.is_null()) continue;
    if (key == "reasoning_content" || key == "thinking" || key == "reasoning") {
      if (reasoning.is_null() || key == "reasoning_content") reasoning = value;
    } else {
      out[key] = value;
    }
  }
  if (!reasoning.is_null()) out["reasoning_content"] = reasoning;
  if (!out.contains("role") || !out["role"].is_string()) {
    fields.fail(field + "/role", "must be a text such as \"user\"");
  }
  if (out.contains("content")) {
    check_content(fields, field + "/content", out["content"]);
  } else if (!out.contains("tool_calls")) {
    fields.fail(field + "/content", "is missing");
  }
  return out;
}

void add_messages(Fields const& fields, std::string const& field, OrderedJson& messages) {
  OrderedJson const& given = fields.list(field);
  for (std::size_t i = 0; i < given.size(); ++i) {
    messages.push_back(checked_message(fields, field + "/" + std::to_string(i), given[i]));
  }
}

void add_tools(Fields const& fields, std::string const& where, Conversation& conversation) {
  OrderedJson const* tools = fields.find("tools");
  if (tools == nullptr) return;
  // Some data sets write the list as a text.
  conversation.tools =
      tools->is_string() ? parse(tools->get_ref<std::string const&>(), where + ": field \"tools\"")
                         : *tools;
  if (!conversation.tools.is_array()) fields.fail("tools", "must be a list");
  if (conversation.tools.empty()) conversation.tools = nullptr;
}

std::string sharegpt_role(Fields const& fields, std::string const& field, std::string const& from) {
  static constexpr std::array<std::pair<std::string_view, char const*>, 11> kRoles{
      {{"human", "user"},
       {"user", "user"},
       {"gpt", "assistant"},
       {"chatgpt", "assistant"},
       {"assistant", "assistant"},
       {"model", "assistant"},
       {"bing", "assistant"},
       {"system", "system"},
       {"tool", "tool"},
       {"observation", "tool"},
       {"function_response", "tool"}}};
  for (auto const& [name, role] : kRoles) {
    if (from == name) return role;
  }
  fields.fail(field, "is \"" + from + "\"; known are human, gpt, system and tool");
}

void read_sharegpt(Fields const& fields, Conversation& conversation) {
  if (const std::string system = fields.text_or_empty("system"); !system.empty()) {
    conversation.messages.push_back(message("system", system));
  }
  OrderedJson const& given = fields.list("conversations");
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string field = "conversations/" + std::to_string(i);
    OrderedJson const& turn = given[i];
    if (turn.is_object() && turn.contains("role")) {
      conversation.messages.push_back(checked_message(fields, field, turn));
      continue;
    }
    const bool whole = turn.is_object() && turn.contains("from") && turn["from"].is_string() &&
                       turn.contains("value") && turn["value"].is_string();
    if (!whole) fields.fail(field, "must have the texts \"from\" and \"value\"");
    conversation.messages.push_back(
        message(sharegpt_role(fields, field + "/from", turn["from"].get<std::string>()),
                turn["value"].get<std::string>()));
  }
}

void read_alpaca(Fields const& fields, Conversation& conversation) {
  OrderedJson& messages = conversation.messages;
  if (const std::string system = fields.text_or_empty("system"); !system.empty()) {
    messages.push_back(message("system", system));
  }
  if (fields.find("history") != nullptr) {
    for (OrderedJson const& turn : fields.list("history")) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string()) {
        fields.fail("history", "must hold pairs of texts, not " + shown(turn));
      }
      messages.push_back(message("user", turn[0].get<std::string>()));
      messages.push_back(message("assistant", turn[1].get<std::string>()));
    }
  }
  const std::string input = fields.text_or_empty("input");
  const std::string instruction = fields.text("instruction");
  messages.push_back(message("user", input.empty() ? instruction : instruction + "\n\n" + input));
  messages.push_back(message("assistant", fields.text("output")));
}

void read_completion(Fields const& fields, Conversation& conversation) {
  for (auto const& [field, role] :
       {std::pair{"prompt", "user"}, std::pair{"completion", "assistant"}}) {
    if (fields.at(field).is_array()) {
      add_messages(fields, field, conversation.messages);
    } else {
      conversation.messages.push_back(message(role, fields.text(field)));
    }
  }
}

ChatFormat recognised(OrderedJson const& record, std::string const& where) {
  const auto has = [&](char const* field) { return record.contains(field); };
  if (has("messages")) return ChatFormat::messages;
  if (has("conversations")) return ChatFormat::sharegpt;
  if (has("instruction") && has("output")) return ChatFormat::alpaca;
  if (has("prompt") && has("completion")) return ChatFormat::completion;
  std::string fields;
  for (auto const& [key, value] : record.items()) {
    fields += (fields.empty() ? "\"" : ", \"") + key + "\"";
  }
  throw Error(Exit::data,
              where + ": not a conversation: it has " + (fields.empty() ? "no fields" : fields) +
                  ". Known are \"messages\"; \"conversations\"; \"instruction\" and \"output\"; "
                  "\"prompt\" and \"completion\"");
}

Conversation conversation_of(OrderedJson const& record, std::string const& where,
                             ChatFormat format) {
  const Fields fields(record, where);
  Conversation conversation;
  conversation.where = where;
  switch (format) {
    case ChatFormat::sharegpt:
      read_sharegpt(fields, conversation);
      break;
    case ChatFormat::alpaca:
      read_alpaca(fields, conversation);
      break;
    case ChatFormat::completion:
      read_completion(fields, conversation);
      break;
    default:
      add_messages(fields, "messages", conversation.messages);
  }
  add_tools(fields, where, conversation);
  if (conversation.messages.empty()) throw Error(Exit::data, where + ": has no messages");
  return conversation;
}

/// A record, whose format becomes that of all where it is not known yet.
Conversation checked(OrderedJson const& record, std::string const& where, ChatFormat& format) {
  if (!record.is_object()) {
    throw Error(Exit::data, where + ": must be one JSON object, not " + shown(record));
  }
  if (format == ChatFormat::automatic) format = recognised(record, where);
  return conversation_of(record, where, format);
}

/// The record on a line.
OrderedJson record_of(Lines const& lines) try {
  return parse(lines.text(), lines.where());
} catch (Error const& error) {
  const std::string table = foreign_table(lines.text(), lines.file());
  if (!table.empty()) throw Error(Exit::data, lines.file().string() + ": " + table);
  const std::string advice = recognised_line(lines.text());
  throw Error(Exit::data, error.what() + (advice.empty() ? "" : "." + advice));
}

std::size_t text_bytes(OrderedJson const& value) {
  if (value.is_string()) return value.get_ref<std::string const&>().size();
  std::size_t bytes = 1;
  if (!value.is_structured()) return bytes;
  for (OrderedJson const& item : value) bytes += text_bytes(item);
  return bytes;
}

}  // namespace

std::vector<std::string> texts_of(OrderedJson const& message) {
  std::vector<std::string> texts;
  const auto content = message.find("content");
  if (content == message.end()) return texts;
  if (content->is_string()) return {content->get<std::string>()};
  for (OrderedJson const& part : *content) texts.push_back(part["text"].get<std::string>());
  return texts;
}

Conversation parse_conversation(std::string_view record, std::string const& where,
                                ChatFormat format) {
  return checked(parse(record, where), where, format);
}

void read_conversations(fs::path const& file, ChatFormat format,
                        std::function<void(Conversation)> const& take) {
  std::size_t count = 0;
  const auto add = [&](OrderedJson const& record, std::string const& where) {
    Conversation conversation = checked(record, where, format);
    conversation.bytes = text_bytes(conversation.messages);
    ++count;
    take(std::move(conversation));
  };
  std::string list;  // all of it, once it has begun
  for (Lines lines(file); lines.next();) {
    std::string const& line = lines.text();
    const auto first = std::find_if_not(line.begin(), line.end(), is_space);
    if (!list.empty() || (count == 0 && first != line.end() && *first == '[')) {
      list += line + "\n";
    } else if (first != line.end()) {
      add(record_of(lines), lines.where());
    }
  }
  if (!list.empty()) {
    for (OrderedJson const& record : parse(list, file.string())) {
      add(record, file.string() + "#" + std::to_string(count + 1));
    }
  }
  require_some(count, file);
}

}  // namespace lomo
