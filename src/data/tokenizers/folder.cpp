#include "folder.h"

#include <charconv>
#include <system_error>
#include <utility>

namespace lomo::tokenizers {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLargestSettings = 64u << 20;

Json read_object(fs::path const& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  Json json = read_json(file, Exit::data, kLargestSettings);
  if (!json.is_object()) throw Error(Exit::data, file.string() + ": must hold one JSON object");
  return json;
}

/// A token as these files name it: its text, or an object that has it as "content".
std::optional<std::string> token_text(Json const& value, std::string const& place) {
  if (value.is_null()) return std::nullopt;
  Json const& text = value.is_object() && value.contains("content") ? value["content"] : value;
  if (!text.is_string()) {
    throw Error(Exit::data, place + " is " + value.dump() + "; it must be a token's text");
  }
  return text.get<std::string>();
}

std::int32_t token_id(Json const& value, std::string const& place) {
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
      value.get<std::int64_t>() > INT32_MAX) {
    throw Error(Exit::data, place + " is " + value.dump() + "; it must be a token id");
  }
  return value.get<std::int32_t>();
}

}  // namespace

Folder::Folder(fs::path const& folder) {
  const auto read = [&](char const* name) {
    return File{(folder / name).string(), name, read_object(folder / name)};
  };
  tokenizer_config_ = read("tokenizer_config.json");
  special_tokens_map_ = read("special_tokens_map.json");
  generation_config_ = read("generation_config.json");
  config_ = read("config.json");
  for (File const* file : {&special_tokens_map_, &tokenizer_config_}) {
    if (file->json.is_object()) read_special(file->json, file->path);
  }
  read_added_tokens(folder / "added_tokens.json");
  if (tokenizer_config_.json.is_object()) read_tokenizer_config();
}

void Folder::read_special(Json const& json, std::string const& where) {
  for (char const* key : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                          "cls_token", "mask_token"}) {
    if (!json.contains(key)) continue;
    if (auto text = token_text(json[key], where + ": /" + key)) special_.insert(*text);
  }
  // Lists, or names with tokens.
  for (char const* key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (!json.contains(key) || !json[key].is_structured()) continue;
    for (auto const& [index, token] : json[key].items()) {
      const std::string place = where + ": /" + key + "/" + index;
      if (auto text = token_text(token, place)) special_.insert(*text);
    }
  }
}

/// The old form: {"<pad>": 32000}.
void Folder::read_added_tokens(fs::path const& file) {
  const Json json = read_object(file);
  for (auto const& [content, id] : json.items()) {
    added_.push_back({.content = content,
                      .id = token_id(id, file.string() + ": /" + content),
                      .special = special_.contains(content)});
  }
}

void Folder::read_tokenizer_config() {
  JsonReader reader(tokenizer_config_.json, tokenizer_config_.path, Exit::data);
  reader.null_means_absent();
  bool flag = false;
  if (reader.get("legacy", flag)) legacy_ = flag;
  if (reader.get("add_bos_token", flag)) add_bos_ = flag;
  if (reader.get("add_eos_token", flag)) add_eos_ = flag;
  auto decoder = reader.object("added_tokens_decoder");
  if (!decoder) return;
  for (std::string const& key : decoder->unknown_keys()) {
    JsonReader entry = *decoder->object(key);
    AddedToken token;
    const auto [end, wrong] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (wrong != std::errc() || end != key.data() + key.size() || token.id < 0 ||
        token.id > Pieces::kLargestId) {
      decoder->fail(key, "is not a token id");
    }
    read_added_token(entry, token);
    added_.push_back(std::move(token));
  }
}

std::optional<Folder::Named> Folder::named(std::string const& key) const {
  for (File const* file : {&tokenizer_config_, &special_tokens_map_}) {
    if (!file->json.is_object() || !file->json.contains(key)) continue;
    if (auto text = token_text(file->json[key], file->path + ": /" + key)) {
      return Named{*text, file->name};
    }
  }
  return std::nullopt;
}

Folder::Ids Folder::ids(std::string const& key) const {
  for (File const* file : {&generation_config_, &config_}) {
    if (!file->json.is_object() || !file->json.contains(key)) continue;
    Json const& value = file->json[key];
    if (value.is_null()) continue;
    const std::string place = file->path + ": /" + key;
    Ids found{{}, file->name};
    if (value.is_array()) {
      for (Json const& id : value) found.ids.push_back(token_id(id, place));
    } else {
      found.ids.push_back(token_id(value, place));
    }
    if (!found.ids.empty()) return found;
  }
  return {};
}

}  // namespace lomo::tokenizers
