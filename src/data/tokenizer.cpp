#include "lomo/data/tokenizer.h"

#include <algorithm>
#include <optional>
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
  bool parse_special = false;
  std::int32_t bos = -1, eos = -1;
  std::vector<std::int32_t> before, after, closing, stops;
  std::string about;
  std::vector<std::string> warnings;

  std::string name_of(std::int32_t id) const;
  std::int32_t resolve(Folder const& folder, std::string const& which, std::int32_t own,
                       std::string const& own_file, std::string& origin);
  void resolve_ends(Folder const& folder, std::string const& own_file);
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

/// The token for one end of a text, by the order of the files; `which` is "bos" or "eos".
std::int32_t Tokenizer::Impl::resolve(Folder const& folder, std::string const& which,
                                      std::int32_t own, std::string const& own_file,
                                      std::string& origin) {
  if (const auto named = folder.named(which + "_token")) {
    const std::int32_t id = model->find(named->piece);
    origin = named->file;
    if (id >= 0) return id;
    warnings.push_back(named->file + ": the " + which + "_token \"" + named->piece +
                       "\" is no token of " + own_file);
  }
  origin = own_file;
  if (own >= 0) return own;
  const Folder::Ids others = folder.ids(which + "_token_id");
  origin = others.file;
  return others.ids.empty() ? -1 : others.ids.front();
}

void Tokenizer::Impl::resolve_ends(Folder const& folder, std::string const& own_file) {
  const tokenizers::Template& around = model->around();
  before = around.before;
  after = around.after;
  std::string bos_origin;
  std::string eos_origin;
  const auto first = before.empty() ? model->bos() : before.front();
  const auto last = after.empty() ? model->eos() : after.back();
  bos = resolve(folder, "bos", first, own_file, bos_origin);
  eos = resolve(folder, "eos", last, own_file, eos_origin);
  const bool sentencepiece = own_file != kJson;
  const bool starts = folder.add_bos().value_or(!before.empty() || sentencepiece);
  const bool ends = folder.add_eos().value_or(!after.empty());
  if (!starts) {
    before.clear();
  } else if (before.empty() && bos >= 0) {
    before = {bos};
  }
  if (!ends) {
    after.clear();
  } else if (after.empty() && eos >= 0) {
    after = {eos};
  }
  closing = after;
  if (eos >= 0 && (closing.empty() || closing.back() != eos)) closing.push_back(eos);

  if (eos >= 0) stops.push_back(eos);
  for (const auto& [which, id, used] :
       {std::tuple{"bos", bos, !before.empty()}, std::tuple{"eos", eos, true}}) {
    const Folder::Ids others = folder.ids(std::string(which) + "_token_id");
    std::vector<std::string> names;
    for (const std::int32_t other : others.ids) names.push_back(name_of(other));
    const bool among = std::find(others.ids.begin(), others.ids.end(), id) != others.ids.end();
    if (used && id >= 0 && !others.ids.empty() && !among) {
      warnings.push_back(others.file + " says that texts " + (which[0] == 'b' ? "start" : "end") +
                         " with " + list_of(names) + ", the tokenizer with " + name_of(id) +
                         ": the tokenizer's is used");
    }
    if (which[0] == 'b') continue;
    for (const std::int32_t other : others.ids) {
      if (std::find(stops.begin(), stops.end(), other) == stops.end()) stops.push_back(other);
    }
  }

  const auto all = [&](std::vector<std::int32_t> const& ids, std::string const& origin) {
    std::vector<std::string> names;
    for (const std::int32_t id : ids) names.push_back(name_of(id));
    return ids.empty() ? "nothing" : list_of(names) + (origin.empty() ? "" : ", by " + origin);
  };
  about = "tokenizer: " + own_file + ", " + std::to_string(model->size()) +
          " tokens; texts start with " + all(before, bos_origin) + ", and end with " +
          all(closing, eos_origin);
}

Tokenizer::Tokenizer(fs::path const& place, TokenizerOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->parse_special = options.parse_special;
  std::string own_file;
  Folder folder;
  if (fs::is_regular_file(place)) {
    own_file = place.extension() == ".json" ? kJson : kModel;
    impl_->model =
        own_file == kJson ? read_json_model(place, folder) : read_sentencepiece(place, folder);
  } else if (fs::is_directory(place)) {
    folder = Folder(place);
    impl_->model = read_from(place, options.file, folder, own_file);
  } else {
    throw Error(Exit::data, place.string() +
                                ": no such model folder, tokenizer.json or "
                                "tokenizer.model");
  }
  impl_->resolve_ends(folder, own_file);
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
  return impl_->model->piece(id);
}
std::int32_t Tokenizer::find(std::string_view piece) const {
  return impl_->model->find(piece);
}
std::int32_t Tokenizer::bos() const {
  return impl_->bos;
}
std::int32_t Tokenizer::eos() const {
  return impl_->eos;
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
std::string const& Tokenizer::about() const {
  return impl_->about;
}
std::vector<std::string> const& Tokenizer::warnings() const {
  return impl_->warnings;
}

std::string special_list(std::map<std::string, std::int64_t> const& counts) {
  constexpr std::size_t kShown = 8;
  std::string list;
  std::size_t shown = 0;
  for (auto const& [token, count] : counts) {
    if (shown == kShown) return list + " and " + std::to_string(counts.size() - shown) + " more";
    list += (shown++ == 0 ? "" : ", ") + token + " (" + std::to_string(count) + ")";
  }
  return list;
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

void Tokenizer::count_special(std::string_view text,
                              std::map<std::string, std::int64_t>& counts) const {
  tokenizers::TokenFinder const& finder = impl_->model->special_tokens();
  tokenizers::Stretch found{};
  for (std::size_t at = 0; finder.find(text, at, found); at = found.end) {
    ++counts[finder.token(found.id).content];
  }
}

}  // namespace lomo
