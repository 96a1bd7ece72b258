#pragma once
#include <utility>
#include <vector>

#include "lomo/data/conversation.h"
#include "lomo/data/encode.h"
#include "lomo/data/readers.h"

namespace lomo::test {

/// What a reader gives, all of it.
template <class Item, class Read>
std::vector<Item> collected(Read const& read) {
  std::vector<Item> all;
  read([&](Item item) { all.push_back(std::move(item)); });
  return all;
}

inline std::vector<Example> jsonl(std::filesystem::path const& file, JsonlFields const& fields) {
  return collected<Example>([&](Take<Example> const& take) { read_jsonl(file, fields, take); });
}
inline std::vector<Document> documents(std::filesystem::path const& file,
                                       TextOptions const& options) {
  return collected<Document>(
      [&](Take<Document> const& take) { read_documents(file, options, take); });
}
inline std::vector<Conversation> conversations(std::filesystem::path const& file,
                                               ChatFormat format) {
  return collected<Conversation>(
      [&](Take<Conversation> const& take) { read_conversations(file, format, take); });
}
/// Lists of ids, encoded.
inline Dataset ids(std::filesystem::path const& file, std::int64_t max_length,
                   TooLong too_long = TooLong::error) {
  const EncodeOptions options{max_length, too_long, "lists of ids of the training data"};
  const auto lists = collected<IdList>([&](Take<IdList> const& take) { read_ids(file, take); });
  Dataset data = encode_id_lists(lists, options);
  require_fit(data, options);
  return data;
}
/// Examples, encoded and checked.
inline Dataset encoded(Tokenizer const& tokenizer, std::vector<Example> const& examples,
                       EncodeOptions const& options) {
  Dataset data = encode_examples(tokenizer, examples, options);
  require_fit(data, options);
  return data;
}
inline std::vector<std::int64_t> items(Dataset const& data) {
  std::vector<std::int64_t> all;
  for (std::size_t i = 0; i < data.size(); ++i) all.push_back(data.item(i));
  return all;
}
inline std::vector<std::int32_t> list(std::span<std::int32_t const> ids) {
  return {ids.begin(), ids.end()};
}

}  // namespace lomo::test
