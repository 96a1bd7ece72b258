#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/chat.h"
#include "lomo/io/json.h"

namespace lomo::test {

/// A tokenizer.json with one token a byte, its id, and one for each of the special texts, from 256
/// on.
inline std::filesystem::path byte_tokenizer_file(std::vector<std::string> const& special) {
  Json vocab = Json::object();
  for (unsigned byte = 0, other = 0x100; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    const unsigned letter = printable ? byte : other++;  // GPT-2's alphabet
    std::string text;
    if (letter >= 0x80) text += static_cast<char>(0xc0u | letter >> 6);
    text += static_cast<char>(letter >= 0x80 ? 0x80u | (letter & 0x3fu) : letter);
    vocab[text] = byte;
  }
  Json added = Json::array();
  for (std::string const& text : special) {
    added.push_back({{"id", 256 + added.size()}, {"content", text}, {"special", true}});
  }
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const Json file = {{"added_tokens", added},
                     {"pre_tokenizer", byte_level},
                     {"decoder", byte_level},
                     {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  return write_file(scratch("byte_tokenizer") / "tokenizer.json", file.dump());
}

/// The same as a Tokenizer. bos is <s> and eos </s>, when they are among the special texts.
inline Tokenizer byte_tokenizer(std::vector<std::string> const& special) {
  const std::filesystem::path folder = byte_tokenizer_file(special).parent_path();
  Json named = Json::object();
  for (std::string const& text : special) {
    if (text == "<s>") named["bos_token"] = text;
    if (text == "</s>") named["eos_token"] = text;
  }
  write_file(folder / "special_tokens_map.json", named.dump());
  return Tokenizer(folder);
}

inline OrderedJson turn(std::string const& role, std::string const& content) {
  return {{"role", role}, {"content", content}};
}

/// The targets of a sequence of byte_tokenizer() as text, special tokens as #.
inline std::string learnt(SequenceView sequence) {
  std::string text;
  for (const std::int32_t target : sequence.targets) {
    if (target != kNoTarget) text += target < 256 ? static_cast<char>(target) : '#';
  }
  return text;
}

}  // namespace lomo::test
