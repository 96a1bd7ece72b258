#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "bpe.h"
#include "decoders.h"
#include "model.h"
#include "normalizers.h"
#include "pre_tokenizers.h"

namespace lomo::tokenizers {

/// A tokenizer.json: added tokens, then normalizer, pre-tokenizer and BPE on what stands between.
class JsonModel : public Model {
 public:
  /// `added` are tokens of other files, which win over the file's own of the same text; those named
  /// in `special` are special whatever their entry says. Throws Error(Exit::data) naming the file
  /// and the place in it for what is damaged or not implemented.
  JsonModel(Document document, std::vector<AddedToken> const& added,
            std::set<std::string> const& special);
  ~JsonModel() override;

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
  std::int32_t unknown() const override;

 private:
  struct Scratch;
  class Lease;
  void read_added(JsonReader& reader, std::vector<AddedToken> const& more,
                  std::set<std::string> const& special);
  void add(AddedToken const& token, std::string const& place);
  void check_template() const;
  void encode_stretch(std::string_view text, bool starts, bool special,
                      std::vector<std::int32_t>& ids, Scratch& scratch) const;
  void encode_words(std::string_view text, bool starts, std::vector<std::int32_t>& ids,
                    Scratch& scratch) const;
  void place_stretch(std::string_view text, bool starts, std::vector<TokenSpan>& spans,
                     Scratch& scratch) const;
  /// `offset` is that of `text`, which the places are counted from.
  void place_words(std::string_view text, std::size_t offset, bool starts,
                   std::vector<TokenSpan>& spans, Scratch& scratch) const;

  Document document_;
  std::unique_ptr<Normalizer> normalizer_;  // null: none
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Bpe> bpe_;
  Template around_;
  Pieces added_;                         // by id; also those that the vocabulary has
  TokenFinder as_written_, normalized_;  // looked for before and after normalizing
  TokenFinder special_;
  std::set<std::int32_t> special_ids_;
  bool bytes_ = false;  // the vocabulary is written in GPT-2's alphabet

  mutable std::mutex mutex_;  // of what is idle
  mutable std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace lomo::tokenizers
