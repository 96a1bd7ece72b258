#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "character_pairs.h"
#include "model.h"
#include "pieces.h"

namespace lomo::tokenizers {

/// A tokenizer.model, read by the sentencepiece library, and tokens that other files add to it.
class SentencepieceModel : public Model {
 public:
  /// `legacy`: text behind a token is begun like the text itself, with a word boundary. Throws
  /// Error(Exit::data) for a damaged file and for tokens whose ids are taken.
  SentencepieceModel(std::filesystem::path const& file, std::vector<AddedToken> const& added,
                     std::set<std::string> const& special, bool legacy);
  ~SentencepieceModel() override;

  void encode(std::string_view text, bool special, std::vector<std::int32_t>& ids) const override;
  bool may_cut(char32_t left, char32_t right) const override;
  void encode_with_offsets(std::string_view text, std::vector<TokenSpan>& spans) const override;
  std::string decode(std::vector<std::int32_t> const& ids) const override;
  std::int64_t size() const override;
  bool has(std::int32_t id) const override;
  std::string piece(std::int32_t id) const override;
  std::string text_of(std::int32_t id) const override;
  std::int32_t find(std::string_view piece) const override;
  TokenFinder const& special_tokens() const override { return special_; }
  Template const& around() const override { return around_; }
  std::int32_t bos() const override;
  std::int32_t eos() const override;
  std::int32_t pad() const override;
  std::int32_t unknown() const override;

 private:
  struct Library;
  void learn_neighbours();
  void add(AddedToken const& token, std::string const& file);
  void encode_text(std::string_view text, bool begins, std::vector<std::int32_t>& ids) const;

  std::unique_ptr<Library> library_;
  Pieces added_;  // those that the library does not have
  TokenFinder finder_, special_;
  std::set<std::int32_t> special_ids_;
  std::optional<CharacterPairs> neighbours_;  // within a piece; none: texts are not cut
  Template around_;                           // the file has none
};

}  // namespace lomo::tokenizers
