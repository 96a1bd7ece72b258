#include <sentencepiece_processor.h>

#include <algorithm>
#include <exception>

#include "lomo/core/error.h"
#include "lomo/data/chat.h"
#include "lomo/io/files.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

class SentencepieceChatTokenizer final : public ChatTokenizer {
 public:
  explicit SentencepieceChatTokenizer(fs::path const& folder) {
    const fs::path file = fs::is_directory(folder) ? folder / "tokenizer.model" : folder;
    std::string refusal;
    try {
      const auto status = model_.LoadFromSerializedProto(read_file(file, Exit::data));
      if (!status.ok()) refusal = status.ToString();
    } catch (std::exception const& error) {
      refusal = error.what();
    }
    if (!refusal.empty()) {
      throw Error(Exit::data,
                  file.string() + ": not a whole sentencepiece model (" + refusal + ")");
    }
    for (int id = 0; id < model_.GetPieceSize(); ++id) {
      if (model_.IsControl(id)) control_.emplace_back(model_.IdToPiece(id), id);
    }
    // Of two that begin alike the longer one is meant.
    std::stable_sort(control_.begin(), control_.end(),
                     [](auto const& a, auto const& b) { return a.first.size() > b.first.size(); });
  }

  std::vector<TokenSpan> encode_with_offsets(std::string_view text) const override {
    std::vector<TokenSpan> tokens;
    std::size_t segment = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto found = std::find_if(control_.begin(), control_.end(), [&](auto const& piece) {
        return !piece.first.empty() && text.substr(at).starts_with(piece.first);
      });
      if (found == control_.end()) {
        ++at;
        continue;
      }
      encode_segment(text, segment, at, tokens);
      segment = at + found->first.size();
      tokens.push_back({found->second, at, segment, true});
      at = segment;
    }
    encode_segment(text, segment, text.size(), tokens);
    return tokens;
  }

  std::string bos_token() const override { return piece(model_.bos_id()); }
  std::string eos_token() const override { return piece(model_.eos_id()); }

 private:
  std::string piece(int id) const { return id < 0 ? std::string() : model_.IdToPiece(id); }

  void encode_segment(std::string_view text, std::size_t begin, std::size_t end,
                      std::vector<TokenSpan>& tokens) const {
    if (begin == end) return;
    sentencepiece::ImmutableSentencePieceText pieces;
    const std::string_view segment = text.substr(begin, end - begin);
    if (const auto status = model_.Encode(segment, pieces.mutable_proto()); !status.ok()) {
      throw Error(Exit::data, "the tokenizer cannot encode this text: " + status.ToString());
    }
    for (std::size_t i = 0; i < pieces.pieces_size(); ++i) {
      const auto piece = pieces.pieces(static_cast<int>(i));
      tokens.push_back({static_cast<std::int32_t>(piece.id()), begin + piece.begin(),
                        begin + piece.end(), false});
    }
  }

  sentencepiece::SentencePieceProcessor model_;
  std::vector<std::pair<std::string, std::int32_t>> control_;
};

}  // namespace

std::unique_ptr<ChatTokenizer> sentencepiece_chat_tokenizer(fs::path const& folder) {
  return std::make_unique<SentencepieceChatTokenizer>(folder);
}

}  // namespace lomo
