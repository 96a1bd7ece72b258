#include "verify_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/data/tokenizer.h"
#include "lomo/io/files.h"
#include "lomo/io/json.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPointer = "version https://git-lfs.github.com/spec/";
constexpr std::array kObjects{"config.json", "generation_config.json", "tokenizer_config.json",
                              "special_tokens_map.json", "added_tokens.json"};

bool is_pointer(fs::path const& file) {
  std::string head(kPointer.size(), '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  return in && head == kPointer;
}

/// One file may be read for several reasons; what is wrong with it is said once.
void say_once(Verification& result, std::string const& problem) {
  auto& known = result.problems;
  if (std::ranges::find(known, problem) == known.end()) known.push_back(problem);
}

/// Ids that a config names, one number or a list of them, must have rows of the embedding.
void check_special_ids(Json const& config, fs::path const& file, std::int64_t vocab,
                       Verification& result) {
  for (char const* key : {"bos_token_id", "eos_token_id"}) {
    if (!config.contains(key) || config[key].is_null()) continue;
    const Json ids = config[key].is_array() ? config[key] : Json::array({config[key]});
    for (Json const& id : ids) {
      const std::string place = file.string() + ": /" + key;
      if (!id.is_number_integer()) {
        result.problems.push_back(place + " is " + id.dump() + "; it must be a token id");
      } else if (vocab > 0 && (id < 0 || id >= vocab)) {
        result.problems.push_back(place + " is " + id.dump() + ", but the embedding has " +
                                  std::to_string(vocab) + " rows");
      }
    }
  }
}

void check_tokenizer(fs::path const& folder, std::int64_t vocab, Verification& result) {
  const Tokenizer tokenizer(folder);
  result.tokenizer = std::to_string(tokenizer.size()) + " tokens, bos " +
                     std::to_string(tokenizer.bos()) + ", eos " + std::to_string(tokenizer.eos());
  for (std::string const& warning : tokenizer.warnings()) result.notes.push_back(warning);
  if (vocab > 0) require_rows(tokenizer, vocab, folder);
}

}  // namespace

void verify_companions(fs::path const& folder, std::int64_t vocab, Verification& result,
                       std::set<std::string>& read) {
  std::error_code error;
  const auto there = [&](char const* name) { return fs::exists(folder / name, error); };
  for (char const* name : kObjects) {
    if (!there(name)) continue;
    read.insert(name);
    const fs::path file = folder / name;
    if (is_pointer(file)) continue;  // verify_listing says so
    try {
      const Json json = read_json(file, Exit::data);
      if (!json.is_object()) throw Error(Exit::data, file.string() + ": must hold one JSON object");
      check_special_ids(json, file, vocab, result);
    } catch (Error const& unreadable) {
      say_once(result, unreadable.what());
    }
  }
  if (!Tokenizer::is_in(folder)) {
    result.notes.push_back("there is no tokenizer: the data must be token ids (data.task \"ids\")");
    return;
  }
  for (char const* name : {"tokenizer.json", "tokenizer.model"}) {
    if (!there(name)) continue;
    read.insert(name);
    if (is_pointer(folder / name)) return;
  }
  try {
    check_tokenizer(folder, vocab, result);
  } catch (Error const& refused) {
    say_once(result, refused.what());
  }
}

void verify_listing(fs::path const& folder, std::set<std::string> const& read,
                    Verification& result) {
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!read.contains(name)) result.unread.push_back(entry.is_directory() ? name + "/" : name);
    if (entry.is_regular_file() && is_pointer(entry.path())) {
      result.problems.push_back(entry.path().string() +
                                " is a pointer of git-lfs, not the file itself: fetch it with git "
                                "lfs pull");
    }
  }
  std::ranges::sort(result.unread);
}

}  // namespace lomo
