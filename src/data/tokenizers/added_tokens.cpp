#include "added_tokens.h"

#include <algorithm>

#include "unicode.h"

namespace lomo::tokenizers {

namespace {

std::size_t skip_space_back(std::string_view text, std::size_t end) {
  while (end > 0) {
    const std::size_t begin = last_character(text, end);
    std::size_t at = begin;
    if (!is_white_space(next_character(text, at))) break;
    end = begin;
  }
  return end;
}

std::size_t skip_space(std::string_view text, std::size_t begin) {
  for (std::size_t at = begin; at < text.size() && is_white_space(next_character(text, at));) {
    begin = at;
  }
  return begin;
}

/// Whether a word goes on at one of the ends of a stretch.
bool in_word(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0) {
    std::size_t before = last_character(text, begin);
    if (is_word_character(next_character(text, before))) return true;
  }
  return end < text.size() && is_word_character(next_character(text, end));
}

}  // namespace

void read_added_token(JsonReader& entry, AddedToken& token) {
  entry.require("content");
  entry.get("content", token.content);
  entry.get("special", token.special);
  entry.get("single_word", token.single_word);
  entry.get("lstrip", token.lstrip);
  entry.get("rstrip", token.rstrip);
  entry.get("normalized", token.normalized);
}

void TokenFinder::add(std::string_view written, AddedToken const& token) {
  std::uint32_t at = 0;
  for (const char byte : written) {
    std::uint32_t next = child(at, byte);
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({.sibling = at == 0 ? 0 : nodes_[at].child, .byte = byte});
      (at == 0 ? first_[static_cast<unsigned char>(byte)] : nodes_[at].child) = next;
    }
    at = next;
  }
  nodes_[at].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
  const std::string text = repaired_utf8(written);  // a piece of a damaged model may be any bytes
  std::size_t place = 0;
  char32_t left = next_character(text, place);
  while (place < text.size()) {
    const char32_t right = next_character(text, place);
    neighbours_.emplace(left, right);
    left = right;
  }
  last_.insert(left);
}

std::uint32_t TokenFinder::child(std::uint32_t node, char byte) const {
  if (node == 0) return first_[static_cast<unsigned char>(byte)];
  std::uint32_t at = nodes_[node].child;
  while (at != 0 && nodes_[at].byte != byte) at = nodes_[at].sibling;
  return at;
}

bool TokenFinder::find(std::string_view text, std::size_t from, Stretch& found) const {
  if (tokens_.empty()) return false;
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::uint32_t node = child(0, text[begin]);
    if (node == 0) continue;
    found.id = -1;
    for (std::size_t at = begin + 1;; ++at) {
      if (nodes_[node].token >= 0) found = {begin, at, nodes_[node].token};
      if (at == text.size()) break;
      node = child(node, text[at]);
      if (node == 0) break;
    }
    if (found.id >= 0) return true;
  }
  return false;
}

void TokenFinder::part(std::string_view text, bool special, std::vector<Stretch>& out) const {
  std::size_t done = 0;
  Stretch found{};
  for (std::size_t at = 0; find(text, at, found);) {
    at = found.end;
    AddedToken const& t = token(found.id);
    if (t.special && !special) continue;
    if (t.single_word && in_word(text, found.begin, found.end)) continue;
    std::size_t begin = found.begin;
    std::size_t end = found.end;
    if (t.lstrip) begin = std::max(skip_space_back(text.substr(0, begin), begin), done);
    if (t.rstrip) end = skip_space(text, end);
    if (done < begin) out.push_back({done, begin, -1});
    out.push_back({begin, end, t.id});
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
}

}  // namespace lomo::tokenizers
