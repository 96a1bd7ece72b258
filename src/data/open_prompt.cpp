#include "lomo/data/open_prompt.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace lomo {

namespace {

/// Whether some token is a space and the start of a word.
bool spaces_join_words(Tokenizer const& tokenizer) {
  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string text = tokenizer.piece_text(id);
    if (text.starts_with(' ') && text.find_first_not_of(' ') != std::string::npos) return true;
  }
  return false;
}

}  // namespace

std::string_view last_spaces(std::string_view text) {
  const std::size_t last = text.find_last_not_of(' ');
  return text.substr(last == std::string_view::npos ? 0 : last + 1);
}

OpenPrompt encode_prompt(Tokenizer const& tokenizer, std::string_view prompt) {
  OpenPrompt open;
  const std::string_view spaces = last_spaces(prompt);
  if (!spaces.empty() && spaces.size() < prompt.size() && spaces_join_words(tokenizer)) {
    open.owed = spaces;
    prompt.remove_suffix(spaces.size());
  }
  open.ids = tokenizer.encode(prompt);
  open.ids.insert(open.ids.begin(), tokenizer.before().begin(), tokenizer.before().end());
  return open;
}

OwedText::OwedText(Tokenizer const& tokenizer, std::string owed) : owed_(std::move(owed)) {
  if (owed_.empty()) return;
  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    pieces_.push_back(tokenizer.piece_text(id));
  }
}

bool OwedText::allows(std::string_view piece) const {
  return !piece.empty() && (piece.starts_with(owed_) || std::string_view(owed_).starts_with(piece));
}

void OwedText::restrict(std::vector<float>& logits) const {
  if (owed_.empty()) return;
  const std::size_t count = std::min(logits.size(), pieces_.size());
  const auto end = pieces_.begin() + static_cast<std::ptrdiff_t>(count);
  const auto allowed = [this](std::string const& piece) { return allows(piece); };
  if (std::none_of(pieces_.begin(), end, allowed)) return;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (id < count && allows(pieces_[id])) continue;
    logits[id] = -std::numeric_limits<float>::infinity();
  }
}

void OwedText::take(std::int32_t id) {
  if (owed_.empty()) return;
  const auto at = static_cast<std::size_t>(id);
  const std::size_t given = at < pieces_.size() ? pieces_[at].size() : owed_.size();
  owed_.erase(0, given == 0 ? owed_.size() : given);
}

}  // namespace lomo
