#include "bpe.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "hash.h"
#include "unicode.h"

namespace lomo::tokenizers {

namespace {

std::string byte_piece(unsigned byte) {
  std::array<char, 8> name{};
  std::snprintf(name.data(), name.size(), "<0x%02X>", byte);
  return name.data();
}

/// The bytes that a piece in GPT-2's alphabet stands for; nothing when a letter is not of it.
std::optional<std::string> bytes_of(std::string_view piece) {
  std::string bytes;
  for (std::size_t at = 0; at < piece.size();) {
    const auto byte = byte_of_letter(next_character(piece, at));
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

}  // namespace

std::optional<unsigned char> byte_of_letter(char32_t letter) {
  // Printable characters of Latin-1 stand for themselves, all other bytes for U+0100 and on.
  static const std::array<std::int16_t, 0x144> kBytes = [] {
    std::array<std::int16_t, 0x144> bytes{};
    bytes.fill(-1);
    std::size_t other = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
      bytes[printable ? b : other++] = static_cast<std::int16_t>(b);
    }
    return bytes;
  }();
  if (letter >= kBytes.size() || kBytes[letter] < 0) return std::nullopt;
  return static_cast<unsigned char>(kBytes[letter]);
}

Bpe::Bpe(Document const& document, JsonReader reader, bool bytes)
    : vocab_(&document.vocab), bytes_(bytes) {
  check(document, reader);
  merges_ = std::make_unique<Merges>(document, *vocab_);
  if (bytes_) {
    read_bytes(document);
  } else {
    for (unsigned b = 0; b < 256; ++b) byte_ids_[b] = vocab_->find(byte_piece(b));
    learn_neighbours(document);
  }
}

void Bpe::check(Document const& document, JsonReader& reader) {
  std::string type = "BPE";  // very old files do not say
  reader.get("type", type);
  if (type != "BPE") {
    reader.fail("type", "the model \"" + type + "\" is not implemented; \"BPE\" is");
  }
  double dropout = 0;
  std::string prefix;
  std::string suffix;
  std::string unknown;
  reader.null_means_absent();
  reader.get("dropout", dropout);
  reader.get("continuing_subword_prefix", prefix);
  reader.get("end_of_word_suffix", suffix);
  reader.get("fuse_unk", fuse_unknown_);
  reader.get("byte_fallback", byte_fallback_);
  reader.get("ignore_merges", ignore_merges_);
  if (dropout != 0) reader.fail("dropout", "merges left out at random are not implemented");
  if (!prefix.empty()) {
    reader.fail("continuing_subword_prefix", "\"" + prefix + "\": prefixes are not implemented");
  }
  if (!suffix.empty()) {
    reader.fail("end_of_word_suffix", "\"" + suffix + "\": suffixes are not implemented");
  }
  if (reader.get("unk_token", unknown)) {
    unknown_ = document.vocab.find(unknown);
    if (unknown_ < 0) reader.fail("unk_token", "\"" + unknown + "\" is not in the vocabulary");
  }
  if (document.vocab.count() == 0) reader.fail("vocab", "the vocabulary is empty or not there");
  reader.finish();
}

void Bpe::read_bytes(Document const& document) {
  byte_pieces_ = std::make_unique<Pieces>();
  for (std::int32_t id = 0; id < vocab_->size(); ++id) {
    if (!vocab_->has(id)) continue;
    if (const auto bytes = bytes_of((*vocab_)[id])) byte_pieces_->add(*bytes, id);
  }
  for (unsigned b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    byte_ids_[b] = byte_pieces_->find({&byte, 1});
    if (byte_ids_[b] >= 0 || !byte_fallback_) continue;
    throw Error(Exit::data, document.where +
                                ": /model/byte_fallback: a byte-level vocabulary that "
                                "lacks the byte " +
                                std::to_string(b) + " is not implemented with byte_fallback");
  }
}

/// Which characters stand side by side where two parts are merged. Between any other two a word can
/// be cut without a change of its ids, so that texts without words of their own (a sentencepiece
/// vocabulary joins words by U+2581) are encoded word by word.
void Bpe::learn_neighbours(Document const& document) {
  if (ignore_merges_) return;  // a piece may then be taken that no merge makes
  CharacterPairs pairs;
  for (std::size_t i = 0; i < document.merges.size(); ++i) {
    const std::string_view left = document.merges.left(i);
    const std::string_view right = document.merges.right(i);
    if (left.empty() || right.empty()) return;
    for (const std::string_view part : {left, right}) {
      // Pieces that stand for other characters than their own.
      if (part.size() == 6 && part.starts_with("<0x")) return;
      if (vocab_->find(part) == unknown_) return;
    }
    std::size_t first = 0;
    std::size_t last = last_character(left, left.size());
    const char32_t before = next_character(left, last);
    pairs.add(before, next_character(right, first));
  }
  neighbours_ = std::move(pairs);
}

bool Bpe::may_cut(char32_t left, char32_t right) const {
  // A run of unknown characters may become one piece, so it stays together.
  return neighbours_ && !neighbours_->has(left, right) && vocab_->find(utf8_of(right)) >= 0;
}

void Bpe::encode(std::string_view word, std::vector<std::int32_t>& ids, Scratch& scratch) const {
  if (!neighbours_ || word.empty()) return encode_part(word, ids, scratch);
  std::size_t begin = 0;
  std::size_t at = 0;
  for (char32_t left = next_character(word, at); at < word.size();) {
    const std::size_t here = at;
    const char32_t right = next_character(word, at);
    // A run of unknown characters may become one piece, so it stays together.
    if (!neighbours_->has(left, right) && vocab_->find(word.substr(here, at - here)) >= 0) {
      encode_part(word.substr(begin, here - begin), ids, scratch);
      begin = here;
    }
    left = right;
  }
  encode_part(word.substr(begin), ids, scratch);
}

void Bpe::encode_part(std::string_view word, std::vector<std::int32_t>& ids,
                      Scratch& scratch) const {
  if (word.size() > WordCache::kLongestWord) return encode_whole(word, ids, scratch);
  const std::uint64_t hash = hash_of(word);
  if (auto const* known = scratch.cache.find(word, hash)) {
    ids.insert(ids.end(), known->begin(), known->end());
    return;
  }
  const std::size_t before = ids.size();
  encode_whole(word, ids, scratch);
  scratch.cache.add(word, hash, std::span(ids).subspan(before));
}

void Bpe::encode_whole(std::string_view word, std::vector<std::int32_t>& ids,
                       Scratch& scratch) const {
  if (ignore_merges_) {
    if (const std::int32_t id = words().find(word); id >= 0) {
      ids.push_back(id);
      return;
    }
  }
  scratch.symbols.clear();
  characters(word, scratch.symbols);
  merges_->apply(scratch.symbols, ids, scratch.merges);
}

void Bpe::characters(std::string_view word, std::vector<std::int32_t>& symbols) const {
  bool unknown_waits = false;  // it may grow
  const auto add_unknown = [&] {
    if (unknown_ < 0) return;
    if (unknown_waits && !fuse_unknown_) symbols.push_back(unknown_);
    unknown_waits = true;
  };
  const auto add_known = [&](std::int32_t id) {
    if (std::exchange(unknown_waits, false)) symbols.push_back(unknown_);
    symbols.push_back(id);
  };
  const auto add_bytes = [&](std::string_view character) {
    for (const char c : character) {
      if (byte_ids_[static_cast<unsigned char>(c)] < 0) return false;
    }
    for (const char c : character) symbols.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    return true;
  };
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t begin = at;
    std::int32_t id = -1;
    if (bytes_) {
      id = byte_ids_[static_cast<unsigned char>(word[at++])];
    } else {
      next_character(word, at);
      id = vocab_->find(word.substr(begin, at - begin));
    }
    if (id >= 0) {
      add_known(id);
    } else if (!byte_fallback_ || !add_bytes(word.substr(begin, at - begin))) {
      add_unknown();
    }
  }
  if (unknown_waits) symbols.push_back(unknown_);
}

/// The byte of a <0xXX>.
std::optional<char> Bpe::byte_of(std::int32_t id) const {
  if (bytes_ || !byte_fallback_) return std::nullopt;
  const auto at = std::find(byte_ids_.begin(), byte_ids_.end(), id);
  if (at == byte_ids_.end()) return std::nullopt;
  return static_cast<char>(at - byte_ids_.begin());
}

std::vector<std::size_t> Bpe::lengths(std::span<std::int32_t const> ids,
                                      std::string_view word) const {
  std::vector<std::size_t> all;
  std::size_t at = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::size_t end = word.size();
    if (byte_of(ids[i])) {
      end = at + 1;
    } else if (ids[i] != unknown_) {
      end = at + (words().has(ids[i]) ? words()[ids[i]].size() : 0);
    } else if (i + 1 < ids.size() && at < word.size()) {
      // Up to the next piece that is known; of unknown ones side by side each is a character.
      std::size_t next = at;
      next_character(word, next);
      const bool known = ids[i + 1] != unknown_ && !byte_of(ids[i + 1]);
      end = known ? word.find(words()[ids[i + 1]], next) : next;
    }
    end = std::min(end, word.size());
    all.push_back(end - std::min(at, end));
    at = end;
  }
  return all;
}

std::string Bpe::text_of(std::int32_t id) const {
  if (id == unknown_ || !vocab_->has(id)) return "";
  if (const auto byte = byte_of(id)) return {*byte};
  if (bytes_) return words().has(id) ? std::string(words()[id]) : "";
  return with_spaces((*vocab_)[id]);
}

}  // namespace lomo::tokenizers
