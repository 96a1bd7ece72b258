#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "data/support.h"
#include "lomo/data/chat.h"

namespace lomo::test {

/// One token a byte, and one for each of the special texts.
class ByteTokenizer final : public ChatTokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> special) : special_(std::move(special)) {}

  std::vector<TokenSpan> encode_with_offsets(std::string_view text) const override {
    std::vector<TokenSpan> tokens;
    for (std::size_t at = 0; at < text.size();) {
      const auto found = std::find_if(
          special_.begin(), special_.end(),
          [&](std::string const& piece) { return text.substr(at).starts_with(piece); });
      const bool is_special = found != special_.end();
      const std::size_t end = at + (is_special ? found->size() : 1);
      const auto id = is_special ? 256 + static_cast<std::int32_t>(found - special_.begin())
                                 : static_cast<unsigned char>(text[at]);
      tokens.push_back({id, at, end, is_special});
      at = end;
    }
    return tokens;
  }
  std::string bos_token() const override { return "<s>"; }
  std::string eos_token() const override { return "</s>"; }

 private:
  std::vector<std::string> special_;
};

inline OrderedJson turn(std::string const& role, std::string const& content) {
  return {{"role", role}, {"content", content}};
}

/// The targets of a sequence of ByteTokenizer as text, special tokens as #.
inline std::string learnt(Sequence const& sequence) {
  std::string text;
  for (const std::int32_t target : sequence.targets) {
    if (target != kNoTarget) text += target < 256 ? static_cast<char>(target) : '#';
  }
  return text;
}

}  // namespace lomo::test
