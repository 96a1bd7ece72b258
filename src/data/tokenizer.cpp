#include "lomo/data/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <optional>

#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/io/json.h"

namespace lomo {

namespace fs = std::filesystem;

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor model;
  NamedToken bos{"bos", -1, {}}, eos{"eos", -1, {}}, pad{"pad", -1, {}};
  std::vector<std::string> added;  // special tokens that the folder adds to the model's
};

namespace {

fs::path find_model(fs::path const& place) {
  if (fs::is_regular_file(place)) return place;
  if (!fs::is_directory(place)) {
    throw Error(Exit::data, place.string() + ": no such model folder or tokenizer.model");
  }
  fs::path model = place / "tokenizer.model";
  if (fs::is_regular_file(model)) return model;
  if (fs::exists(place / "tokenizer.json")) {
    throw Error(Exit::data,
                place.string() +
                    ": only tokenizer.json found (Llama 3 and other byte-level BPE tokenizers); "
                    "lomo-train reads sentencepiece's tokenizer.model. Put one there, or give the "
                    "data as token ids (JSONL with \"ids\" and \"loss_from\")");
  }
  throw Error(Exit::data, place.string() +
                              ": no tokenizer.model in this folder; copy the one that belongs to "
                              "the model there, or give the data as token ids (JSONL with \"ids\" "
                              "and \"loss_from\")");
}

/// Top-level fields of a serialized ModelProto: bit f is set when field f occurs. Nothing when the
/// bytes do not end where a field ends. The library accepts a file cut between two pieces; its
/// specs (fields 2 and 3) come last, so their absence shows the cut.
std::optional<std::uint32_t> fields_of(std::string const& bytes) {
  std::uint32_t seen = 0;
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
    if (!tag || (*tag & 7u) != 2) return std::nullopt;  // every field of ModelProto is a message
    const auto size = varint();
    if (!size || *size > bytes.size() - at) return std::nullopt;
    at += static_cast<std::size_t>(*size);
    if ((*tag >> 3) < 32) seen |= 1u << (*tag >> 3);
  }
  return seen;
}

void load_model(sentencepiece::SentencePieceProcessor& model, fs::path const& path) {
  const std::string bytes = read_file(path, Exit::data);
  const auto damaged = [&](std::string const& why) {
    return Error(Exit::data, path.string() + ": not a whole sentencepiece model (" + why +
                                 "); fetch the file again");
  };
  constexpr std::uint32_t kWanted = (1u << 1) | (1u << 2) | (1u << 3);
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

/// bos_token_id of generation_config.json or config.json: a number, a list (the first counts),
/// null.
std::optional<std::int32_t> id_of(Json const& value, std::string const& place) {
  if (value.is_null()) return std::nullopt;
  Json const& number = value.is_array() && !value.empty() ? value.front() : value;
  if (!number.is_number_integer() || number.get<std::int64_t>() < 0 ||
      number.get<std::int64_t>() > INT32_MAX) {
    throw Error(Exit::data, place + " is " + value.dump() + "; it must be a token id");
  }
  return number.get<std::int32_t>();
}

/// bos_token of tokenizer_config.json: a piece, or an object whose "content" is the piece.
std::optional<std::int32_t> piece_id(sentencepiece::SentencePieceProcessor const& model,
                                     Json const& value, std::string const& place) {
  if (value.is_null()) return std::nullopt;
  Json const& piece = value.is_object() && value.contains("content") ? value["content"] : value;
  if (!piece.is_string()) {
    throw Error(Exit::data, place + " is " + value.dump() + "; it must be a token's text");
  }
  const auto text = piece.get<std::string>();
  const int id = model.PieceToId(text);
  if (model.IdToPiece(id) == text) return id;
  return std::nullopt;  // a token added outside the sentencepiece model
}

NamedToken special_token(sentencepiece::SentencePieceProcessor const& model, fs::path const& folder,
                         std::string const& which, std::int32_t of_model) {
  for (char const* file : {"generation_config.json", "tokenizer_config.json", "config.json"}) {
    const fs::path path = folder / file;
    if (folder.empty() || !fs::exists(path)) continue;
    const Json json = read_json(path, Exit::data);
    if (!json.is_object()) throw Error(Exit::data, path.string() + ": must hold one JSON object");
    const bool by_piece = path.filename() == "tokenizer_config.json";
    const std::string key = which + (by_piece ? "_token" : "_token_id");
    if (!json.contains(key)) continue;
    const std::string place = path.string() + ": /" + key;
    const auto id = by_piece ? piece_id(model, json[key], place) : id_of(json[key], place);
    if (id) return {which, *id, file};
  }
  return {which, of_model, of_model < 0 ? "" : "tokenizer.model"};
}

/// The special tokens of added_tokens.json and of tokenizer_config.json that the model lacks.
std::vector<std::string> added_tokens(fs::path const& folder) {
  std::vector<std::string> all;
  if (folder.empty()) return all;
  if (fs::exists(folder / "added_tokens.json")) {
    const Json json = read_json(folder / "added_tokens.json", Exit::data);
    for (auto const& [text, id] : json.items()) {
      if (json.is_object()) all.push_back(text);
    }
  }
  if (!fs::exists(folder / "tokenizer_config.json")) return all;
  const Json config = read_json(folder / "tokenizer_config.json", Exit::data);
  const auto listed = config.is_object() ? config.find("added_tokens_decoder") : config.end();
  if (listed == config.end() || !listed->is_object()) return all;
  for (auto const& [id, token] : listed->items()) {
    const bool special = token.is_object() && token.contains("content") &&
                         token["content"].is_string() && token.value("special", Json()) == true;
    if (special) all.push_back(token["content"].get<std::string>());
  }
  return all;
}

}  // namespace

Tokenizer::Tokenizer(fs::path const& folder) : impl_(std::make_unique<Impl>()) {
  load_model(impl_->model, find_model(folder));
  const fs::path configs = fs::is_directory(folder) ? folder : fs::path();
  impl_->bos = special_token(impl_->model, configs, "bos", impl_->model.bos_id());
  impl_->eos = special_token(impl_->model, configs, "eos", impl_->model.eos_id());
  impl_->pad = special_token(impl_->model, configs, "pad", impl_->model.pad_id());
  impl_->added = added_tokens(configs);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  if (const auto status = impl_->model.Encode(text, &ids); !status.ok()) {
    throw Error(Exit::data, "the tokenizer cannot encode this text: " + status.ToString());
  }
  return ids;
}

std::string Tokenizer::decode(std::vector<std::int32_t> const& ids) const {
  for (std::int32_t id : ids) {
    if (id < 0 || id >= size()) {
      throw Error(Exit::data, "token id " + std::to_string(id) + " is not one of the tokenizer's " +
                                  std::to_string(size()) + " pieces");
    }
  }
  std::string text;
  if (const auto status = impl_->model.Decode(ids, &text); !status.ok()) {
    throw Error(Exit::data, "the tokenizer cannot decode these ids: " + status.ToString());
  }
  return text;
}

std::int64_t Tokenizer::size() const {
  return impl_->model.GetPieceSize();
}
std::int32_t Tokenizer::bos() const {
  return impl_->bos.id;
}
std::int32_t Tokenizer::eos() const {
  return impl_->eos.id;
}
std::int32_t Tokenizer::unknown() const {
  return impl_->model.unk_id();
}

std::vector<NamedToken> Tokenizer::named_tokens() const {
  return {impl_->bos, impl_->eos, impl_->pad};
}

std::string Tokenizer::piece(std::int32_t id) const {
  return id < 0 || id >= size() ? "" : impl_->model.IdToPiece(id);
}

std::string Tokenizer::piece_text(std::int32_t id) const {
  auto const& model = impl_->model;
  if (id < 0 || id >= size() || model.IsControl(id) || model.IsUnknown(id)) return "";
  std::string text = model.IdToPiece(id);
  if (model.IsByte(id)) {  // <0x0A>
    unsigned byte = 0;
    const std::string digits = text.substr(std::min<std::size_t>(3, text.size()), 2);
    std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    return std::string(1, static_cast<char>(byte));
  }
  constexpr std::string_view kSpace = "\xE2\x96\x81";
  for (std::size_t at = text.find(kSpace); at != std::string::npos; at = text.find(kSpace, at)) {
    text.replace(at, kSpace.size(), " ");
  }
  return text;
}

std::vector<std::string> Tokenizer::special_texts() const {
  std::vector<std::string> all = impl_->added;
  for (std::int32_t id = 0; id < size(); ++id) {
    if (impl_->model.IsControl(id)) all.push_back(impl_->model.IdToPiece(id));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::erase_if(all, [](std::string const& text) { return text.empty(); });
  return all;
}

}  // namespace lomo
