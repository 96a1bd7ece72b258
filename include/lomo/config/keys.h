#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/io/json.h"

namespace lomo {

/// One key of a config file, bound to its member of a TrainConfig. This one declaration reads and
/// writes it, lists it among the known ones, describes it in docs/CONFIG.md, and says what a
/// resumed run may do with it.
struct ConfigKey {
  /// The runs that read it.
  struct Readers {
    std::string who = {};  // "optimizer adamw"; empty: every run
    std::function<bool(TrainConfig const&)> includes = {};
  };

  std::string name;           // "lr"
  std::string type;           // "number", as docs/CONFIG.md calls it
  std::string values;         // the legal ones, Markdown
  std::string meaning;        // Markdown
  std::string shown_default;  // Markdown; empty: that of a default config
  bool required = false;
  bool resume_may_change = false;
  Readers readers;
  std::function<void(JsonReader&)> read;  // leaves the default where it is absent
  std::function<nlohmann::ordered_json()> write;
};

/// The keys of one object of the file, or of its top level where `name` is empty.
struct ConfigSection {
  std::string name;
  bool required = false;
  std::vector<ConfigKey> keys;
  std::function<void(JsonReader const&)> check;  // what several keys must keep together; or none

  /// "optimizer.lr".
  std::string path(ConfigKey const& key) const;
};

/// Every key there is, in the order in which a config is written; views `config`.
std::vector<ConfigSection> config_sections(TrainConfig& config);

/// The table of docs/CONFIG.md: key, type, default, range, meaning.
std::string config_table();

}  // namespace lomo
