#include "lomo/data/tokenizer.h"

#include <algorithm>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "lomo/core/error.h"
#include "text.h"
#include "tokenizers/folder.h"
#include "tokenizers/json_model.h"
#include "tokenizers/sample.h"
#include "tokenizers/sentencepiece_model.h"
#include "tokenizers/unicode.h"

namespace lomo {

namespace fs = std::filesystem;
using tokenizers::Folder;
using tokenizers::Model;

struct Tokenizer::Impl {
  std::unique_ptr<Model> model;
  std::string file;
  bool parse_special = false;
  NamedToken bos{"bos", -1, {}}, eos{"eos", -1, {}}, pad{"pad", -1, {}};
  std::vector<std::int32_t> before, after, closing, stops;
  std::map<std::string, std::string> template_tokens;
  std::vector<std::string> warnings;

  std::string name_of(std::int32_t id) const;
  void resolve(Folder const& folder, NamedToken& token, std::int32_t own);
  void resolve_ends(Folder const& folder);
  void compare_ends(Folder const& folder);
  void resolve_template_tokens(Folder const& folder);
};

namespace {

constexpr char const* kJson = "tokenizer.json";
constexpr char const* kModel = "tokenizer.model";
constexpr char const* kIdsInstead =
    ", or give the data as token ids (JSONL with \"ids\" and \"loss_from\")";

std::unique_ptr<Model> read_json_model(fs::path const& file, Folder const& folder) {
  return std::make_unique<tokenizers::JsonModel>(tokenizers::read_document(file), folder.added(),
                                                 folder.special());
}

std::unique_ptr<Model> read_sentencepiece(fs::path const& file, Folder const& folder) {
  return std::make_unique<tokenizers::SentencepieceModel>(file, folder.added(), folder.special(),
                                                          folder.legacy());
}

/// Both files of a folder must be the same tokenizer.
std::unique_ptr<Model> read_both(fs::path const& place, Folder const& folder) {
  std::unique_ptr<Model> json;
  try {
    json = read_json_model(place / kJson, folder);
  } catch (Error const& error) {
    throw Error(error.code(), std::string(error.what()) +
                                  ". The folder has a tokenizer.model too: model.tokenizer "
                                  "(--tokenizer) \"model\" reads that one.");
  }
  const auto model = read_sentencepiece(place / kModel, folder);
  const auto difference = tokenizers::first_difference(*json, *model);
  if (difference) {
    throw Error(Exit::data, place.string() +
                                ": tokenizer.json and tokenizer.model differ on the "
                                "text " +
                                *difference +
                                ". Choose one by model.tokenizer (--tokenizer): \"json\", which "
                                "transformers prefers, or \"model\".");
  }
  return json;
}

std::unique_ptr<Model> read_from(fs::path const& place, TokenizerFile file, Folder const& folder,
                                 std::string& own_file) {
  const auto there = [&](char const* name) {
    std::error_code error;
    return fs::exists(place / name, error);
  };
  const auto missing = [&](std::string const& what) {
    return Error(Exit::data, place.string() + ": no " + what +
                                 " in this folder; copy the one that belongs to the model there" +
                                 kIdsInstead);
  };
  const bool json = there(kJson) && file != TokenizerFile::model;
  const bool model = there(kModel) && file != TokenizerFile::json;
  own_file = json ? kJson : kModel;
  if (json && model) return read_both(place, folder);
  if (json) return read_json_model(place / kJson, folder);
  if (model) return read_sentencepiece(place / kModel, folder);
  if (file == TokenizerFile::json) throw missing(kJson);
  if (file == TokenizerFile::model) throw missing(kModel);
  throw missing("tokenizer.json and no tokenizer.model");
}

std::string list_of(std::vector<std::string> const& words) {
  std::string list;
  for (std::size_t i = 0; i < words.size(); ++i) {
    list += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return list;
}

}  // namespace

std::string Tokenizer::Impl::name_of(std::int32_t id) const {
  return (model->has(id) ? model->piece(id) + " " : "") + "(" + std::to_string(id) + ")";
}

/// Finds the token of that name by the order of the files; `own` is that of the tokenizer itself.
void Tokenizer::Impl::resolve(Folder const& folder, NamedToken& token, std::int32_t own) {
  const auto take = [&](std::int32_t id, std::string const& origin) {
    token.id = id;
    token.origin = origin;
  };
  if (const auto named = folder.named(token.name + "_token")) {
    const std::int32_t id = model->find(named->piece);
    if (id >= 0) return take(id, named->file);
    warnings.push_back(named->file + ": the " + token.name + "_token \"" + named->piece +
                       "\" is no token of " + file);
  }
  if (own >= 0) return take(own, file);
  const Folder::Ids others = folder.ids(token.name + "_token_id");
  if (!others.ids.empty()) take(others.ids.front(), others.file);
}

void Tokenizer::Impl::resolve_ends(Folder const& folder) {
  const tokenizers::Template& around = model->around();
  before = around.before;
  after = around.after;
  resolve(folder, bos, before.empty() ? model->bos() : before.front());
  resolve(folder, eos, after.empty() ? model->eos() : after.back());
  resolve(folder, pad, model->pad());
  const bool sentencepiece = file != kJson;
  const bool starts = folder.add_bos().value_or(!before.empty() || sentencepiece);
  const bool ends = folder.add_eos().value_or(!after.empty());
  if (!starts) {
    before.clear();
  } else if (before.empty() && bos.id >= 0) {
    before = {bos.id};
  }
  if (!ends) {
    after.clear();
  } else if (after.empty() && eos.id >= 0) {
    after = {eos.id};
  }
  closing = after;
  if (eos.id >= 0 && (closing.empty() || closing.back() != eos.id)) closing.push_back(eos.id);
}

/// What generation_config.json or config.json says of the ends: more tokens that end a generated
/// text, and what the tokenizer contradicts.
void Tokenizer::Impl::compare_ends(Folder const& folder) {
  const auto compare = [&](NamedToken const& token, char const* verb, Folder::Ids const& others) {
    std::vector<std::string> names;
    for (const std::int32_t other : others.ids) names.push_back(name_of(other));
    if (token.id < 0 || names.empty() || std::ranges::count(others.ids, token.id) > 0) return;
    warnings.push_back(others.file + " says that texts " + verb + " with " + list_of(names) +
                       ", the tokenizer with " + name_of(token.id) + ": the tokenizer's is used");
  };
  if (!before.empty()) compare(bos, "start", folder.ids("bos_token_id"));
  const Folder::Ids ends = folder.ids("eos_token_id");
  compare(eos, "end", ends);
  if (eos.id >= 0) stops.push_back(eos.id);
  for (const std::int32_t id : ends.ids) {
    if (std::ranges::count(stops, id) == 0) stops.push_back(id);
  }
}

void Tokenizer::Impl::resolve_template_tokens(Folder const& folder) {
  for (char const* name : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                           "cls_token", "mask_token"}) {
    if (const auto named = folder.named(name)) template_tokens[name] = named->piece;
  }
  if (file != kModel) return;  // what a post-processor puts around texts has no name
  for (NamedToken const& token : {bos, eos}) {
    if (token.id < 0 || token.origin != file) continue;
    template_tokens.emplace(token.name + "_token", model->piece(token.id));
  }
}

Tokenizer::Tokenizer(fs::path const& place, TokenizerOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->parse_special = options.parse_special;
  Folder folder;
  if (fs::is_regular_file(place)) {
    const bool json = place.extension() == ".json";
    impl_->file = json ? kJson : kModel;
    impl_->model = json ? read_json_model(place, folder) : read_sentencepiece(place, folder);
  } else if (fs::is_directory(place)) {
    folder = Folder(place);
    impl_->model = read_from(place, options.file, folder, impl_->file);
  } else {
    throw Error(Exit::data, place.string() +
                                ": no such model folder, tokenizer.json or "
                                "tokenizer.model");
  }
  impl_->resolve_ends(folder);
  impl_->compare_ends(folder);
  impl_->resolve_template_tokens(folder);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

bool Tokenizer::is_in(fs::path const& folder) {
  std::error_code error;
  return fs::exists(folder / kJson, error) || fs::exists(folder / kModel, error);
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  return encode(text, impl_->parse_special);
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<std::int32_t> ids;
  if (invalid_utf8(text)) {
    impl_->model->encode(tokenizers::repaired_utf8(text), parse_special, ids);
  } else {
    impl_->model->encode(text, parse_special, ids);
  }
  return ids;
}

bool Tokenizer::may_cut(char32_t left, char32_t right) const {
  return impl_->model->may_cut(left, right);
}

std::vector<std::int32_t> Tokenizer::encode_behind(std::string_view text, std::size_t from) const {
  // What a tokenizer does at the start of a text (a space, a prefix) happens to the character.
  const std::vector<std::int32_t> before = encode(text.substr(0, from));
  std::vector<std::int32_t> ids = encode(text);
  if (!std::ranges::equal(before, std::span(ids).first(std::min(ids.size(), before.size())))) {
    throw Error("a text was cut where the tokenizer does not allow it");
  }
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(before.size()));
  return ids;
}

std::vector<TokenSpan> Tokenizer::encode_with_offsets(std::string_view text) const {
  if (invalid_utf8(text)) throw Error(Exit::data, "a text that is not UTF-8");
  std::vector<TokenSpan> spans;
  impl_->model->encode_with_offsets(text, spans);
  return spans;
}

std::string Tokenizer::decode(std::vector<std::int32_t> const& ids) const {
  for (const std::int32_t id : ids) {
    if (!has(id)) {
      throw Error(Exit::data, "token id " + std::to_string(id) + " is not one of the tokenizer's " +
                                  std::to_string(size()) + " tokens");
    }
  }
  return impl_->model->decode(ids);
}

std::int64_t Tokenizer::size() const {
  return impl_->model->size();
}
bool Tokenizer::has(std::int32_t id) const {
  return impl_->model->has(id);
}
std::string Tokenizer::piece(std::int32_t id) const {
  return has(id) ? impl_->model->piece(id) : "";
}
std::int32_t Tokenizer::find(std::string_view piece) const {
  return impl_->model->find(piece);
}
std::int32_t Tokenizer::bos() const {
  return impl_->bos.id;
}
std::int32_t Tokenizer::eos() const {
  return impl_->eos.id;
}
std::int32_t Tokenizer::unknown() const {
  return impl_->model->unknown();
}
std::vector<NamedToken> Tokenizer::named_tokens() const {
  return {impl_->bos, impl_->eos, impl_->pad};
}
std::string Tokenizer::piece_text(std::int32_t id) const {
  return has(id) ? impl_->model->text_of(id) : "";
}
std::vector<std::int32_t> const& Tokenizer::before() const {
  return impl_->before;
}
std::vector<std::int32_t> const& Tokenizer::after() const {
  return impl_->after;
}
std::vector<std::int32_t> const& Tokenizer::closing() const {
  return impl_->closing;
}
std::vector<std::int32_t> const& Tokenizer::stops() const {
  return impl_->stops;
}
bool Tokenizer::parses_special() const {
  return impl_->parse_special;
}
std::string const& Tokenizer::file() const {
  return impl_->file;
}
std::map<std::string, std::string> const& Tokenizer::template_tokens() const {
  return impl_->template_tokens;
}
std::vector<std::string> const& Tokenizer::warnings() const {
  return impl_->warnings;
}

void require_rows(Tokenizer const& tokenizer, std::int64_t rows, fs::path const& folder) {
  if (tokenizer.size() <= rows) return;
  auto id = static_cast<std::int32_t>(rows);
  while (!tokenizer.has(id)) ++id;
  throw Error(Exit::data, folder.string() +
                              ": the tokenizer has tokens that the model has no row "
                              "for: the embedding has " +
                              std::to_string(rows) +
                              " rows, and the first token beyond them is \"" + tokenizer.piece(id) +
                              "\" (" + std::to_string(id) +
                              "). Tokenizer and model do not belong together, or the embedding "
                              "was not resized for added tokens.");
}

bool Tokenizer::count_special(std::string_view text,
                              std::map<std::string, std::int64_t>& counts) const {
  tokenizers::TokenFinder const& finder = impl_->model->special_tokens();
  tokenizers::Stretch found{};
  bool any = false;
  for (std::size_t at = 0; finder.find(text, at, found); at = found.end) {
    ++counts[finder.token(found.id).content];
    any = true;
  }
  return any;
}

}  // namespace lomo
