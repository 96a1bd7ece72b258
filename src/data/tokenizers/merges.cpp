#include "merges.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "hash.h"

namespace lomo::tokenizers {

namespace {

/// Above this many symbols looking through all pairs costs more than a heap of them.
constexpr std::size_t kShort = 48;

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint32_t>(right);
}

}  // namespace

Merges::Merges(Document const& document, Pieces const& vocab)
    : slots_(std::bit_ceil(std::max<std::size_t>(64, document.merges.size() * 3 / 2))),
      products_(document.merges.size()) {
  MergeList const& merges = document.merges;
  const auto find = [&](std::size_t i, std::string_view piece) {
    const std::int32_t id = vocab.find(piece);
    if (id < 0) {
      throw Error(Exit::data, document.where + ": /model/merges/" + std::to_string(i) + ": \"" +
                                  std::string(piece) + "\" is not in the vocabulary");
    }
    return id;
  };
  for (std::size_t i = 0; i < merges.size(); ++i) {
    products_[i] = find(i, merges.joined(i));
    put(find(i, merges.left(i)), find(i, merges.right(i)), static_cast<std::uint32_t>(i));
  }
}

void Merges::put(std::int32_t left, std::int32_t right, std::uint32_t rank) {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash_of(pair) & mask;
  while (slots_[at].rank != kNone && slots_[at].pair != pair) at = (at + 1) & mask;
  slots_[at] = {pair, rank};  // of a pair that is there twice the later counts
}

std::uint32_t Merges::rank(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash_of(pair) & mask; slots_[at].rank != kNone; at = (at + 1) & mask) {
    if (slots_[at].pair == pair) return slots_[at].rank;
  }
  return kNone;
}

void Merges::apply(std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& ids,
                   Scratch& scratch) const {
  if (symbols.size() > kShort) {
    apply_long(symbols, scratch);
  } else if (symbols.size() > 1) {
    apply_short(symbols, scratch.ranks);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Merges::apply_short(std::vector<std::int32_t>& symbols,
                         std::vector<std::uint32_t>& ranks) const {
  ranks.resize(symbols.size() - 1);
  for (std::size_t i = 0; i < ranks.size(); ++i) ranks[i] = rank(symbols[i], symbols[i + 1]);
  while (!ranks.empty()) {
    const auto best = std::min_element(ranks.begin(), ranks.end());
    if (*best == kNone) break;
    const auto at = best - ranks.begin();
    const auto i = static_cast<std::size_t>(at);
    symbols[i] = products_[*best];
    symbols.erase(symbols.begin() + at + 1);
    ranks.erase(best);
    if (i > 0) ranks[i - 1] = rank(symbols[i - 1], symbols[i]);
    if (i < ranks.size()) ranks[i] = rank(symbols[i], symbols[i + 1]);
  }
}

void Merges::apply_long(std::vector<std::int32_t>& symbols, Scratch& scratch) const {
  const auto count = static_cast<std::uint32_t>(symbols.size());
  if (symbols.size() >= UINT32_MAX) {
    throw Error(Exit::data, "the tokenizer cannot encode a word of " +
                                std::to_string(symbols.size()) + " characters");
  }
  // A list of the symbols that are left, and a heap of the pairs that may be merged, by rank and
  // then by place. A pair whose rank is no longer the one in the list is out of date.
  // References by name: lambdas may not read structured bindings (Clang 14).
  auto& ranks = scratch.ranks;
  auto& previous = scratch.previous;
  auto& next = scratch.next;
  auto& heap = scratch.heap;
  ranks.assign(count, kNone);
  previous.resize(count);
  next.resize(count);
  heap.clear();
  const auto offer = [&](std::uint32_t at, bool sift) {
    ranks[at] = next[at] < count ? rank(symbols[at], symbols[next[at]]) : kNone;
    if (ranks[at] == kNone) return;
    heap.push_back((static_cast<std::uint64_t>(ranks[at]) << 32) | at);
    if (sift) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    previous[i] = i - 1;  // of the first: beyond all
    next[i] = i + 1;
  }
  for (std::uint32_t i = 0; i < count; ++i) offer(i, false);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const auto at = static_cast<std::uint32_t>(heap.back());
    const auto best = static_cast<std::uint32_t>(heap.back() >> 32);
    heap.pop_back();
    if (ranks[at] != best) continue;
    const std::uint32_t gone = next[at];
    symbols[at] = products_[best];
    ranks[gone] = kNone;
    next[at] = next[gone];
    if (next[at] < count) previous[next[at]] = at;
    offer(at, true);
    if (at > 0) offer(previous[at], true);
  }
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < count; i = next[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace lomo::tokenizers
