#include "pieces.h"

#include <algorithm>

#include "hash.h"

namespace lomo::tokenizers {

bool Pieces::add(std::string_view piece, std::int32_t id) {
  if (has(id) || piece.size() >= kAbsent) return false;
  if (2 * (count_ + 1) > slots_.size()) grow();
  const std::uint64_t hash = hash_of(piece);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  for (; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && (*this)[slots_[at].id] == piece) return false;
  }
  slots_[at] = {tag, id};
  if (static_cast<std::size_t>(id) >= places_.size()) {
    places_.resize(static_cast<std::size_t>(id) + 1);
  }
  places_[static_cast<std::size_t>(id)] = {text_.size(), static_cast<std::uint32_t>(piece.size())};
  text_ += piece;
  ++count_;
  return true;
}

std::int32_t Pieces::find(std::string_view piece) const {
  if (slots_.empty()) return -1;
  const std::uint64_t hash = hash_of(piece);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && (*this)[slots_[at].id] == piece) return slots_[at].id;
  }
  return -1;
}

bool Pieces::has(std::int32_t id) const {
  return id >= 0 && id < size() && places_[static_cast<std::size_t>(id)].length != kAbsent;
}

std::string_view Pieces::operator[](std::int32_t id) const {
  Place const& place = places_[static_cast<std::size_t>(id)];
  return {text_.data() + place.begin, place.length};
}

void Pieces::grow() {
  std::vector<Slot> old(std::max<std::size_t>(1024, 2 * slots_.size()));
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (Slot const& slot : old) {
    if (slot.id < 0) continue;
    std::size_t at = hash_of((*this)[slot.id]) & mask;
    while (slots_[at].id >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace lomo::tokenizers
