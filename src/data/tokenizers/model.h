#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "lomo/data/tokenizer.h"
#include "template.h"

namespace lomo::tokenizers {

/// What a tokenizer's file gives. May be used by many threads at once.
class Model {
 public:
  virtual ~Model() = default;

  /// Appends the ids of well-formed text; with `special`, special tokens written in it are tokens.
  virtual void encode(std::string_view text, bool special,
                      std::vector<std::int32_t>& ids) const = 0;
  /// Whether the ids of a text that has these characters side by side are those of the part up to
  /// `left`, and those of the part from `right` on as it is read behind `left`.
  virtual bool may_cut(char32_t left, char32_t right) const = 0;
  /// The same as encode(), special tokens read as tokens, with the bytes of `text` that each stands
  /// for.
  virtual void encode_with_offsets(std::string_view text, std::vector<TokenSpan>& spans) const = 0;
  /// Of ids that have a piece.
  virtual std::string decode(std::vector<std::int32_t> const& ids) const = 0;
  /// The greatest id and one.
  virtual std::int64_t size() const = 0;
  virtual bool has(std::int32_t id) const = 0;
  /// The vocabulary's string of an id that is there.
  virtual std::string piece(std::int32_t id) const = 0;
  /// The bytes that an id that is there adds inside a text; empty for special tokens.
  virtual std::string text_of(std::int32_t id) const = 0;
  /// The id of a vocabulary's string, -1 when there is none.
  virtual std::int32_t find(std::string_view piece) const = 0;
  /// Special tokens as they are written in texts.
  virtual TokenFinder const& special_tokens() const = 0;
  /// What the file itself puts around a text.
  virtual Template const& around() const = 0;
  /// The tokens that the file itself has for the start and the end of a text; -1: it names none.
  virtual std::int32_t bos() const { return -1; }
  virtual std::int32_t eos() const { return -1; }
  virtual std::int32_t pad() const { return -1; }
  /// The token for what the vocabulary cannot express, -1: none.
  virtual std::int32_t unknown() const = 0;
};

}  // namespace lomo::tokenizers
