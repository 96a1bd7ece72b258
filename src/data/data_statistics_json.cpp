// Statistics as JSON, for the cache of encoded data.
#include "lomo/data/data_statistics.h"

namespace lomo {

namespace {

/// Calls `field` with the name of every member and the member.
template <class Statistics, class Field>
void each_field(Statistics& of, Field const& field) {
  field("examples", of.examples);
  field("too_long", of.too_long);
  field("no_tokens", of.no_tokens);
  field("unknown", of.unknown);
  field("joined_space", of.joined_space);
  field("same_candidates", of.same_candidates);
  field("special_texts", of.special_texts);
  field("special_text_counts", of.special_text_counts);
  field("unknown_ids", of.unknown_ids);
  field("conversations", of.chat.conversations);
  field("chat_truncated", of.chat.truncated);
  field("chat_too_long", of.chat.too_long);
  field("chat_without_loss", of.chat.without_loss);
  field("chat_turns_rewritten", of.chat.turns_rewritten);
  field("chat_special_tokens", of.chat.special_tokens);
  field("chat_special_token_counts", of.chat.special_token_counts);
  field("chat_ignored_reasoning", of.chat.ignored_reasoning);
  field("chat_ignored_tool_calls", of.chat.ignored_tool_calls);
  field("chat_ignored_tools", of.chat.ignored_tools);
}

Json json_of(std::int64_t count) {
  return count;
}
Json json_of(Finding const& found) {
  return Json::array({found.count, found.first});
}
Json json_of(TooLongFound const& found) {
  return Json::array({found.count, found.longest, found.where});
}
Json json_of(std::map<std::string, std::int64_t> const& counts) {
  return counts;
}

void read(Json const& json, std::int64_t& count) {
  count = json.get<std::int64_t>();
}
void read(Json const& json, Finding& found) {
  found = {json.at(0).get<std::int64_t>(), json.at(1).get<std::string>()};
}
void read(Json const& json, TooLongFound& found) {
  found = {json.at(0).get<std::int64_t>(), json.at(1).get<std::int64_t>(),
           json.at(2).get<std::string>()};
}
void read(Json const& json, std::map<std::string, std::int64_t>& counts) {
  counts = json.get<std::map<std::string, std::int64_t>>();
}

}  // namespace

Json to_json(DataStatistics const& statistics) {
  Json json;
  each_field(statistics, [&](char const* name, auto const& field) { json[name] = json_of(field); });
  return json;
}

DataStatistics statistics_of(Json const& json) {
  DataStatistics statistics;
  each_field(statistics, [&](char const* name, auto& field) { read(json.at(name), field); });
  return statistics;
}

}  // namespace lomo
