#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/tokenizer.h"

namespace lomo {

/// The ids of a prompt that is to be continued, as training has them before an answer.
///
/// Training encodes prompt and answer together, where the spaces at a prompt's end become part of
/// the answer's first token. Alone they would be tokens of their own, after which the model has
/// seen no answer begin. So they are taken back, and what is written must begin with them.
struct OpenPrompt {
  std::vector<std::int32_t> ids;  // with bos
  std::string owed;               // spaces that were taken back
};
OpenPrompt encode_prompt(Tokenizer const& tokenizer, std::string_view prompt);

/// The spaces at the end of `text`.
std::string_view last_spaces(std::string_view text);

/// Text with which the next tokens must begin.
class OwedText {
 public:
  OwedText(Tokenizer const& tokenizer, std::string owed);
  /// Makes every token impossible that neither begins with the text nor is a part of it; leaves the
  /// logits as they are when nothing is owed, or no token could give it.
  void restrict(std::vector<float>& logits) const;
  /// What a chosen token gives is owed no more.
  void take(std::int32_t id);

 private:
  bool allows(std::string_view piece) const;

  std::string owed_;
  std::vector<std::string> pieces_;  // texts by id, while something is owed
};

}  // namespace lomo
