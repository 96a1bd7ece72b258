#include <array>
#include <string>
#include <utility>

#include "lomo/config/keys.h"
#include "lomo/core/error.h"

namespace lomo {

namespace {

/// Gradient accumulation under any of its usual names, anywhere in the file.
void refuse_accumulation(Json const& json, std::string const& where, std::string const& pointer) {
  if (!json.is_object()) return;
  for (auto const& [key, value] : json.items()) {
    const std::string at = pointer + "/" + key;
    if (key.starts_with("gradient_accumulation") || key.starts_with("accumulate_grad")) {
      throw Error(Exit::usage,
                  where + ": " + at +
                      ": there is no gradient accumulation: a fused update applies each gradient "
                      "during backward and cannot add it up over several. A bigger batch is a "
                      "longer ragged batch: raise batch.sequences (train.recompute \"block\" keeps "
                      "its memory small).");
    }
    refuse_accumulation(value, where, at);
  }
}

/// Keys of before the first release, by JSON pointer, and what they are called now.
constexpr std::array<std::pair<char const*, char const*>, 3> kRenamedKeys{{
    {"/protect", "gradient_check"},
    {"/guard", "spike_guard, and its least_steps min_steps"},
    {"/ranks/wire", "ranks.comm_dtype"},
}};

void refuse_renamed(Json const& json, std::string const& where) {
  for (auto const& [pointer, name] : kRenamedKeys) {
    if (json.contains(Json::json_pointer(pointer))) {
      throw Error(Exit::usage, where + ": " + pointer + ": this key is now called " + name);
    }
  }
}

void read(ConfigSection const& section, JsonReader& reader) {
  for (ConfigKey const& key : section.keys) {
    if (key.required) reader.require(key.name);
    key.read(reader);
  }
  if (section.check) section.check(reader);
}

}  // namespace

TrainConfig parse_config(Json const& json, std::string const& where) {
  JsonReader reader(json, where);
  refuse_accumulation(json, where, "");
  refuse_renamed(json, where);
  TrainConfig config;
  const std::vector<ConfigSection> sections = config_sections(config);
  for (ConfigSection const& section : sections) {
    if (section.required) reader.require(section.name);
  }
  for (ConfigSection const& section : sections) {
    if (section.name.empty()) {
      read(section, reader);
    } else if (auto inner = reader.object(section.name)) {
      read(section, *inner);
      inner->finish();
    }
  }
  reader.finish();
  return config;
}

nlohmann::ordered_json to_json(TrainConfig const& config) {
  TrainConfig copy = config;
  nlohmann::ordered_json out;
  for (ConfigSection const& section : config_sections(copy)) {
    nlohmann::ordered_json& object = section.name.empty() ? out : out[section.name];
    for (ConfigKey const& key : section.keys) object[key.name] = key.write();
  }
  return out;
}

}  // namespace lomo
