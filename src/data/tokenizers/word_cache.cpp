#include "word_cache.h"

namespace lomo::tokenizers {

namespace {

constexpr std::size_t kSlots = std::size_t{1} << 16;
constexpr std::size_t kMaxWords = kSlots / 2;

}  // namespace

WordCache::WordCache() : slots_(kSlots) {}

std::span<std::int32_t const> const* WordCache::find(std::string_view word, std::uint64_t hash) {
  for (std::size_t at = hash % kSlots; slots_[at].length != 0; at = (at + 1) % kSlots) {
    Slot const& slot = slots_[at];
    if (slot.hash != hash || std::string_view(words_).substr(slot.word, slot.length) != word) {
      continue;
    }
    found_ = std::span(ids_).subspan(slot.ids, slot.count);
    return &found_;
  }
  return nullptr;
}

void WordCache::add(std::string_view word, std::uint64_t hash, std::span<std::int32_t const> ids) {
  if (word.empty() || word.size() > kLongestWord) return;
  if (used_ >= kMaxWords) clear();
  std::size_t at = hash % kSlots;
  while (slots_[at].length != 0) at = (at + 1) % kSlots;
  slots_[at] = {hash, static_cast<std::uint32_t>(words_.size()),
                static_cast<std::uint32_t>(ids_.size()), static_cast<std::uint16_t>(word.size()),
                static_cast<std::uint16_t>(ids.size())};
  words_ += word;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++used_;
}

void WordCache::clear() {
  slots_.assign(kSlots, {});
  words_.clear();
  ids_.clear();
  used_ = 0;
}

}  // namespace lomo::tokenizers
