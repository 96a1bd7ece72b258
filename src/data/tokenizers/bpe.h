#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "character_pairs.h"
#include "document.h"
#include "merges.h"
#include "word_cache.h"

namespace lomo::tokenizers {

/// The byte that a letter of GPT-2's alphabet stands for; nothing for any other character.
std::optional<unsigned char> byte_of_letter(char32_t letter);

/// Byte pair encoding: characters (or bytes) of a word, merged by rank.
class Bpe {
 public:
  struct Scratch {
    WordCache cache;
    Merges::Scratch merges;
    std::vector<std::int32_t> symbols;
  };

  /// `reader` is of the object /model. With `bytes` the vocabulary is written in GPT-2's alphabet
  /// and words are given as the bytes themselves. Throws Error(Exit::data) for what is not
  /// implemented (other models, dropout, prefixes and suffixes of words) and what does not fit
  /// together.
  Bpe(Document const& document, JsonReader reader, bool bytes);

  /// Appends the ids of one word: well-formed UTF-8.
  void encode(std::string_view word, std::vector<std::int32_t>& ids, Scratch& scratch) const;
  /// Whether a word may be cut between two characters.
  bool may_cut(char32_t left, char32_t right) const;
  /// How many bytes of `word` each of its `ids` stands for.
  std::vector<std::size_t> lengths(std::span<std::int32_t const> ids, std::string_view word) const;
  /// The bytes that a piece stands for, U+2581 as a space; none for the unknown token.
  std::string text_of(std::int32_t id) const;
  /// -1: none.
  std::int32_t unknown() const { return unknown_; }

 private:
  void check(Document const& document, JsonReader& reader);
  void read_bytes(Document const& document);
  void learn_neighbours(Document const& document);
  std::optional<char> byte_of(std::int32_t id) const;
  Pieces const& words() const { return bytes_ ? *byte_pieces_ : *vocab_; }

  /// Encodes what cannot be cut any further.
  void encode_whole(std::string_view word, std::vector<std::int32_t>& ids, Scratch& scratch) const;
  void encode_part(std::string_view word, std::vector<std::int32_t>& ids, Scratch& scratch) const;
  void characters(std::string_view word, std::vector<std::int32_t>& symbols) const;

  Pieces const* vocab_;  // of the document, which outlives this
  std::unique_ptr<Pieces> byte_pieces_;
  std::unique_ptr<Merges> merges_;
  bool bytes_;
  bool ignore_merges_ = false, byte_fallback_ = false, fuse_unknown_ = false;
  std::int32_t unknown_ = -1;
  std::array<std::int32_t, 256> byte_ids_{};  // of one byte, or of its <0xXX>
  std::optional<CharacterPairs> neighbours_;  // see learn_neighbours; none: words are not cut
};

}  // namespace lomo::tokenizers
