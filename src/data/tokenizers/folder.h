#pragma once
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lomo/io/json.h"
#include "model.h"
#include "pieces.h"

namespace lomo::tokenizers {

/// What the files beside a tokenizer say of it; all empty for a tokenizer outside of a folder.
class Folder {
 public:
  Folder() = default;
  /// Reads those files that are there. Throws Error(Exit::data) naming file and key.
  explicit Folder(std::filesystem::path const& folder);

  std::vector<AddedToken> const& added() const { return added_; }
  std::set<std::string> const& special() const { return special_; }
  bool legacy() const { return legacy_; }
  std::optional<bool> add_bos() const { return add_bos_; }
  std::optional<bool> add_eos() const { return add_eos_; }

  /// A token that tokenizer_config.json or else special_tokens_map.json names under "bos_token",
  /// "eos_token" and the like, and the file.
  struct Named {
    std::string piece, file;
  };
  std::optional<Named> named(std::string const& key) const;
  /// The ids that generation_config.json or else config.json names under "bos_token_id" or
  /// "eos_token_id", and the file; none where both leave it open.
  struct Ids {
    std::vector<std::int32_t> ids;
    std::string file;
  };
  Ids ids(std::string const& key) const;

 private:
  void read_tokenizer_config();
  void read_added_tokens(std::filesystem::path const& file);
  void read_special(Json const& json, std::string const& where);

  struct File {
    std::string path, name;
    Json json;  // null: not there
  };
  File tokenizer_config_, special_tokens_map_, generation_config_, config_;
  std::vector<AddedToken> added_;
  std::set<std::string> special_;
  bool legacy_ = true;
  std::optional<bool> add_bos_, add_eos_;
};

}  // namespace lomo::tokenizers
