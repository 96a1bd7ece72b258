#include "sentencepiece_model.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <map>
#include <optional>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "unicode.h"

namespace lomo::tokenizers {

namespace fs = std::filesystem;

struct SentencepieceModel::Library {
  sentencepiece::SentencePieceProcessor model;
  sentencepiece::SentencePieceProcessor behind;  // for text behind a token, unless legacy
  bool legacy = true;
};

namespace {

constexpr char32_t kShownSpace = 0x2581;

/// A field of a serialized protobuf message.
struct Field {
  std::uint64_t number = 0;     // which field
  std::uint64_t value = 0;      // of a whole number
  std::string_view bytes = {};  // of a text or message
  bool message = false;         // or a text
};

/// Calls `take` with each field. False when the bytes do not end where a field ends.
template <class Take>
bool each_field(std::string_view bytes, Take const& take) {
  std::size_t at = 0;
  const auto varint = [&]() -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      value |= static_cast<std::uint64_t>(byte & 0x7fu) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  };
  while (at < bytes.size()) {
    const auto tag = varint();
    if (!tag) return false;
    const std::uint64_t wire = *tag & 7u;
    Field field{.number = *tag >> 3, .message = wire == 2};
    std::uint64_t size = wire == 1 ? 8 : wire == 5 ? 4 : 0;
    if (wire == 0 || wire == 2) {
      const auto number = varint();
      if (!number) return false;
      (wire == 0 ? field.value : size) = *number;
    } else if (size == 0) {
      return false;
    }
    if (size > bytes.size() - at) return false;
    field.bytes = bytes.substr(at, static_cast<std::size_t>(size));
    take(field);
    at += field.bytes.size();
  }
  return true;
}

// Fields of ModelProto.
constexpr unsigned kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3;

/// The top-level fields that occur, a bit each. Nothing when the bytes do not end where a field
/// ends. The library accepts a file cut between two pieces; its specs come last, so their absence
/// shows the cut.
std::optional<std::uint32_t> fields_of(std::string const& bytes) {
  std::uint32_t seen = 0;
  bool messages = true;  // as every field of a ModelProto is
  const bool whole = each_field(bytes, [&](Field const& field) {
    messages = messages && field.message;
    if (field.number < 32) seen |= 1u << field.number;
  });
  if (!whole || !messages) return std::nullopt;
  return seen;
}

/// Whether a model merges characters (BPE) as they are written: spaces alone are put in another
/// way, at the start and as U+2581.
bool merges_plain_characters(std::string_view bytes) {
  constexpr std::uint64_t kBpe = 2;
  std::uint64_t type = 1;  // unigram
  bool plain = true;
  each_field(bytes, [&](Field const& spec) {
    each_field(spec.bytes, [&](Field const& field) {
      if (spec.number == kTrainerSpec) {
        if (field.number == 3) type = field.value;                  // model_type
        if (field.number == 24 && field.value != 0) plain = false;  // spaces end words
      } else if (spec.number == kNormalizerSpec) {
        if (field.number == 2 && !field.bytes.empty()) plain = false;  // precompiled_charsmap
        if (field.number == 5 && field.value == 0) plain = false;      // escape_whitespaces
      }
    });
  });
  return plain && type == kBpe;
}

void load(sentencepiece::SentencePieceProcessor& model, std::string const& bytes,
          fs::path const& path) {
  const auto damaged = [&](std::string const& why) {
    return Error(Exit::data, path.string() + ": not a whole sentencepiece model (" + why +
                                 "); fetch the file again");
  };
  constexpr std::uint32_t kWanted =
      (1u << kPieces) | (1u << kTrainerSpec) | (1u << kNormalizerSpec);
  const auto fields = fields_of(bytes);
  if (!fields) throw damaged("the file is cut short or not a protobuf");
  if ((*fields & kWanted) != kWanted) throw damaged("its pieces or its specs are missing");
  std::string refusal;
  try {
    if (const auto status = model.LoadFromSerializedProto(bytes); !status.ok()) {
      refusal = status.ToString();
    }
  } catch (std::exception const& error) {  // sentencepiece's tries throw on pieces of length 0
    refusal = error.what();
  }
  if (!refusal.empty()) throw damaged(refusal);
}

}  // namespace

SentencepieceModel::SentencepieceModel(fs::path const& file, std::vector<AddedToken> const& added,
                                       std::set<std::string> const& special, bool legacy)
    : library_(std::make_unique<Library>()) {
  const std::string bytes = read_file(file, Exit::data);
  load(library_->model, bytes, file);
  library_->legacy = legacy;
  // Messages of a protobuf that stand twice are merged: field 3 (normalizer_spec) with
  // add_dummy_prefix (its field 3) false.
  if (!legacy) load(library_->behind, bytes + std::string("\x1a\x02\x18\x00", 4), file);

  std::map<std::string, AddedToken> tokens;
  for (int id = 0; id < library_->model.GetPieceSize(); ++id) {
    std::string const& piece = library_->model.IdToPiece(id);
    const bool control = library_->model.IsControl(id) || library_->model.IsUnknown(id);
    if (!control && !special.contains(piece)) continue;
    tokens[piece] = {.content = piece, .id = id, .special = true};
  }
  for (AddedToken token : added) {
    if (token.content.empty()) continue;
    token.special = token.special || special.contains(token.content);
    tokens[token.content] = token;
  }
  for (auto const& [content, token] : tokens) {
    add(token, file.string());
    finder_.add(content, token);
    if (!token.special) continue;
    special_.add(content, token);
    special_ids_.insert(token.id);
  }
  if (merges_plain_characters(bytes)) learn_neighbours();
}

/// All that a merge makes is a piece, so nothing is merged over two characters that stand side by
/// side in none.
void SentencepieceModel::learn_neighbours() {
  CharacterPairs pairs;
  for (int id = 0; id < library_->model.GetPieceSize(); ++id) {
    const std::string piece = repaired_utf8(library_->model.IdToPiece(id));
    std::size_t at = 0;
    for (char32_t left = piece.empty() ? 0 : next_character(piece, at); at < piece.size();) {
      const char32_t right = next_character(piece, at);
      pairs.add(left, right);
      left = right;
    }
  }
  neighbours_ = std::move(pairs);
}

bool SentencepieceModel::may_cut(char32_t left, char32_t right) const {
  if (!neighbours_ || is_white_space(left) || !finder_.may_cut(left, right)) return false;
  if (right == U' ') right = kShownSpace;
  if (left == kShownSpace || neighbours_->has(left, right)) return false;
  // A run of unknown characters becomes one piece, so it stays together.
  return find(utf8_of(right)) >= 0;
}

SentencepieceModel::~SentencepieceModel() = default;

void SentencepieceModel::add(AddedToken const& token, std::string const& file) {
  const int count = library_->model.GetPieceSize();
  const int known = library_->model.PieceToId(token.content);
  if (library_->model.IdToPiece(known) == token.content && known == token.id) return;
  const bool taken = token.id < count || !added_.add(token.content, token.id);
  if (!taken) return;
  throw Error(Exit::data, file + ": the added token \"" + token.content + "\" has the id " +
                              std::to_string(token.id) + ", which is that of \"" + piece(token.id) +
                              "\"");
}

void SentencepieceModel::encode(std::string_view text, bool special,
                                std::vector<std::int32_t>& ids) const {
  std::vector<Stretch> stretches;
  finder_.part(text, special, stretches);
  bool begins = true;
  for (Stretch const& s : stretches) {
    if (s.id >= 0) {
      ids.push_back(s.id);
    } else {
      encode_text(text.substr(s.begin, s.end - s.begin), begins || library_->legacy, ids);
    }
    begins = false;
  }
}

void SentencepieceModel::encode_text(std::string_view text, bool begins,
                                     std::vector<std::int32_t>& ids) const {
  std::vector<int> found;
  auto const& model = begins ? library_->model : library_->behind;
  if (const auto status = model.Encode(text, &found); !status.ok()) {
    throw Error(Exit::data, "the tokenizer cannot encode this text: " + status.ToString());
  }
  ids.insert(ids.end(), found.begin(), found.end());
}

void SentencepieceModel::encode_with_offsets(std::string_view text,
                                             std::vector<TokenSpan>& spans) const {
  std::vector<Stretch> stretches;
  finder_.part(text, true, stretches);
  for (Stretch const& s : stretches) {
    if (s.id >= 0) {
      spans.push_back({s.id, s.begin, s.end, special_ids_.contains(s.id)});
      continue;
    }
    auto const& model = s.begin == 0 || library_->legacy ? library_->model : library_->behind;
    sentencepiece::ImmutableSentencePieceText pieces;
    const std::string_view part = text.substr(s.begin, s.end - s.begin);
    if (const auto status = model.Encode(part, pieces.mutable_proto()); !status.ok()) {
      throw Error(Exit::data, "the tokenizer cannot encode this text: " + status.ToString());
    }
    for (std::size_t i = 0; i < pieces.pieces_size(); ++i) {
      const auto piece = pieces.pieces(static_cast<int>(i));
      spans.push_back({static_cast<std::int32_t>(piece.id()), s.begin + piece.begin(),
                       s.begin + piece.end(), false});
    }
  }
}

std::string SentencepieceModel::text_of(std::int32_t id) const {
  if (special_ids_.contains(id)) return "";
  if (added_.has(id)) return std::string(added_[id]);
  auto const& model = library_->model;
  std::string const& piece = model.IdToPiece(id);
  if (!model.IsByte(id)) return with_spaces(piece);
  unsigned byte = 0;
  const std::string digits = piece.substr(std::min<std::size_t>(3, piece.size()), 2);
  std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
  return {static_cast<char>(byte)};
}

std::string SentencepieceModel::decode(std::vector<std::int32_t> const& ids) const {
  std::string text;
  std::vector<int> run;
  const auto flush = [&] {
    std::string part;
    if (const auto status = library_->model.Decode(run, &part); !status.ok()) {
      throw Error(Exit::data, "the tokenizer cannot decode these ids: " + status.ToString());
    }
    text += part;
    run.clear();
  };
  for (const std::int32_t id : ids) {
    if (!added_.has(id)) {
      run.push_back(id);
      continue;
    }
    flush();
    text += added_[id];
  }
  if (!run.empty()) flush();
  return text;
}

std::int64_t SentencepieceModel::size() const {
  return std::max<std::int64_t>(library_->model.GetPieceSize(), added_.size());
}

bool SentencepieceModel::has(std::int32_t id) const {
  return id >= 0 && (id < library_->model.GetPieceSize() || added_.has(id));
}

std::string SentencepieceModel::piece(std::int32_t id) const {
  return added_.has(id) ? std::string(added_[id]) : library_->model.IdToPiece(id);
}

std::int32_t SentencepieceModel::find(std::string_view piece) const {
  if (const std::int32_t id = added_.find(piece); id >= 0) return id;
  const int id = library_->model.PieceToId(piece);
  return library_->model.IdToPiece(id) == piece ? id : -1;
}

std::int32_t SentencepieceModel::bos() const {
  return library_->model.bos_id();
}
std::int32_t SentencepieceModel::eos() const {
  return library_->model.eos_id();
}
std::int32_t SentencepieceModel::pad() const {
  return library_->model.pad_id();
}
std::int32_t SentencepieceModel::unknown() const {
  return library_->model.unk_id();
}

}  // namespace lomo::tokenizers
