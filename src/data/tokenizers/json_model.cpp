#include "json_model.h"

#include <algorithm>
#include <map>
#include <utility>

#include "json_scratch.h"
#include "stage.h"
#include "unicode.h"

namespace lomo::tokenizers {

JsonModel::JsonModel(Document document, std::vector<AddedToken> const& added,
                     std::set<std::string> const& special)
    : document_(std::move(document)) {
  JsonReader reader(document_.rest, document_.where, Exit::data);
  for (char const* key : {"version", "truncation", "padding"}) reader.raw(key);
  if (auto stage = optional_object(reader, "normalizer")) normalizer_ = make_normalizer(*stage);
  if (auto stage = optional_object(reader, "pre_tokenizer")) {
    pre_tokenizer_ = make_pre_tokenizer(*stage, bytes_);
  }
  if (auto stage = optional_object(reader, "post_processor")) around_ = read_template(*stage);
  if (auto stage = optional_object(reader, "decoder")) decoder_ = make_decoder(*stage);
  reader.require("model");
  bpe_ = std::make_unique<Bpe>(document_, *reader.object("model"), bytes_);
  document_.merges = {};
  read_added(reader, added, special);
  reader.finish();
  check_template();
}

JsonModel::~JsonModel() = default;

void JsonModel::read_added(JsonReader& reader, std::vector<AddedToken> const& more,
                           std::set<std::string> const& special) {
  std::vector<std::pair<AddedToken, std::string>> tokens;  // and its place
  std::map<std::string, std::size_t> index;
  const auto take = [&](AddedToken token, std::string const& place) {
    token.special = token.special || special.contains(token.content);
    const auto [at, is_new] = index.emplace(token.content, tokens.size());
    if (is_new) {
      tokens.emplace_back(std::move(token), place);
    } else {
      tokens[at->second] = {std::move(token), place};
    }
  };
  Json const* list = reader.raw("added_tokens");
  if (list != nullptr && !list->is_null()) {
    for (JsonReader& entry : reader.objects("added_tokens")) {
      AddedToken token;
      entry.require("id");
      entry.get("id", token.id, Range<std::int32_t>{0, Pieces::kLargestId});
      read_added_token(entry, token);
      entry.finish();
      if (!token.content.empty()) take(token, entry.where() + ": " + entry.pointer());
    }
  }
  for (AddedToken const& token : more) {
    if (!token.content.empty()) take(token, "an added token of the folder");
  }
  RegexScratch scratch;
  for (auto const& [token, place] : tokens) {
    add(token, place);
    if (token.special) special_ids_.insert(token.id);
    std::string written = token.content;
    if (token.normalized && normalizer_) normalizer_->apply(written, scratch);
    if (written.empty()) continue;
    (token.normalized ? normalized_ : as_written_).add(written, token);
    if (token.special) special_.add(token.content, token);
  }
}

void JsonModel::add(AddedToken const& token, std::string const& place) {
  const std::int32_t known = document_.vocab.find(token.content);
  const std::string name = "\"" + token.content + "\"";
  if (known >= 0 && known != token.id) {
    throw Error(Exit::data, place + ": " + name + " has the id " + std::to_string(token.id) +
                                ", but " + std::to_string(known) + " in the vocabulary");
  }
  const bool taken = (known < 0 && document_.vocab.has(token.id)) || added_.has(token.id);
  if (taken || !added_.add(token.content, token.id)) {
    throw Error(Exit::data, place + ": " + name + " has the id " + std::to_string(token.id) +
                                ", which is that of \"" + piece(token.id) + "\"");
  }
}

void JsonModel::check_template() const {
  for (auto const* side : {&around_.before, &around_.after}) {
    for (const std::int32_t id : *side) {
      if (has(id)) continue;
      throw Error(Exit::data, document_.where + ": /post_processor: the id " + std::to_string(id) +
                                  " is no token");
    }
  }
}

void JsonModel::encode(std::string_view text, bool special, std::vector<std::int32_t>& ids) const {
  Lease lease(*this);
  Scratch& scratch = *lease;
  scratch.stretches.clear();
  as_written_.part(text, special, scratch.stretches);
  for (Stretch const& s : scratch.stretches) {
    if (s.id >= 0) {
      ids.push_back(s.id);
    } else {
      encode_stretch(text.substr(s.begin, s.end - s.begin), s.begin == 0, special, ids, scratch);
    }
  }
}

void JsonModel::encode_stretch(std::string_view text, bool starts, bool special,
                               std::vector<std::int32_t>& ids, Scratch& scratch) const {
  if (normalizer_) {
    scratch.normal = text;
    normalizer_->apply(scratch.normal, scratch.regex);
    text = scratch.normal;
  }
  if (normalized_.empty()) return encode_words(text, starts, ids, scratch);
  scratch.inner.clear();
  normalized_.part(text, special, scratch.inner);
  for (Stretch const& s : scratch.inner) {
    if (s.id >= 0) {
      ids.push_back(s.id);
    } else {
      encode_words(text.substr(s.begin, s.end - s.begin), starts && s.begin == 0, ids, scratch);
    }
  }
}

void JsonModel::encode_words(std::string_view text, bool starts, std::vector<std::int32_t>& ids,
                             Scratch& scratch) const {
  Words& words = scratch.words;
  words.begin(text, starts);
  if (pre_tokenizer_) pre_tokenizer_->apply(words, scratch.regex);
  for (Words::Span const& span : words.spans) {
    bpe_->encode(words.text.substr(span.begin, span.end - span.begin), ids, scratch.bpe);
  }
}

bool JsonModel::may_cut(char32_t left, char32_t right) const {
  if (is_white_space(left) || !as_written_.may_cut(left, right)) return false;
  if (normalizer_) {
    std::string before = utf8_of(left);
    std::string behind = utf8_of(right);
    if (!normalizer_->may_cut(before, behind) || before.empty() || behind.empty()) return false;
    std::size_t last = last_character(before, before.size());
    std::size_t first = 0;
    left = next_character(before, last);
    right = next_character(behind, first);
    if (is_white_space(left)) return false;
  }
  if (!normalized_.may_cut(left, right)) return false;
  const Cut cut = pre_tokenizer_ ? pre_tokenizer_->cut(left, right) : Cut::in_word;
  return cut == Cut::between || (cut == Cut::in_word && bpe_->may_cut(left, right));
}

std::string JsonModel::decode(std::vector<std::int32_t> const& ids) const {
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const std::int32_t id : ids) pieces.push_back(piece(id));
  if (decoder_) {
    Lease lease(*this);
    decoder_->apply(pieces, (*lease).regex);
  }
  std::string text;
  for (std::string const& piece : pieces) {
    if (!decoder_ && !text.empty()) text += ' ';
    text += piece;
  }
  return text;
}

std::int64_t JsonModel::size() const {
  return std::max(document_.vocab.size(), added_.size());
}

bool JsonModel::has(std::int32_t id) const {
  return added_.has(id) || document_.vocab.has(id);
}

std::string JsonModel::piece(std::int32_t id) const {
  return std::string(added_.has(id) ? added_[id] : document_.vocab[id]);
}

std::string JsonModel::text_of(std::int32_t id) const {
  if (special_ids_.contains(id)) return "";
  return added_.has(id) ? std::string(added_[id]) : bpe_->text_of(id);
}

std::int32_t JsonModel::unknown() const {
  return bpe_->unknown();
}

std::int32_t JsonModel::find(std::string_view piece) const {
  const std::int32_t id = added_.find(piece);
  return id >= 0 ? id : document_.vocab.find(piece);
}

}  // namespace lomo::tokenizers
