#include <array>
#include <system_error>

#include "lomo/config/config.h"
#include "lomo/core/error.h"
#include "names.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

void apply_override(Json& json, std::string const& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    throw Error(Exit::usage, "--set " + text +
                                 ": expected key.key=value, as in "
                                 "--set optimizer.lr=0.003");
  }
  const std::string written = text.substr(equals + 1);
  Json value = json_or_nothing(written, "--set " + text.substr(0, equals), Exit::usage)
                   .value_or(Json(written));
  Json* at = &json;
  std::size_t begin = 0;
  while (begin <= equals) {
    const std::size_t end = std::min(text.find('.', begin), equals);
    const std::string key = text.substr(begin, end - begin);
    if (key.empty()) throw Error(Exit::usage, "--set " + text + ": a key is empty");
    if (!at->is_object() && !at->is_null()) {
      throw Error(Exit::usage, "--set " + text + ": \"" + text.substr(0, begin - 1) +
                                   "\" is a value, it has no keys");
    }
    at = &(*at)[key];
    begin = end + 1;
  }
  *at = std::move(value);
}

}  // namespace

void apply_overrides(Json& json, std::vector<std::string> const& overrides) {
  for (std::string const& text : overrides) apply_override(json, text);
}

Json read_config_file(fs::path const& file, std::vector<std::string> const& overrides) {
  Json json = read_json(file, Exit::usage);
  apply_overrides(json, overrides);
  return json;
}

fs::path find_config(std::string const& name, std::vector<fs::path> const& shipped) {
  std::error_code error;
  if (fs::is_regular_file(name, error)) return name;
  for (fs::path const& folder : shipped) {
    if (fs::is_regular_file(folder / name, error)) return folder / name;
    if (fs::is_regular_file(folder / (name + ".json"), error)) return folder / (name + ".json");
  }
  std::string message = "no config " + name + ": it is neither a file here nor a shipped config";
  std::vector<std::string> known;
  for (fs::path const& folder : shipped) {
    for (auto const& entry : fs::recursive_directory_iterator(folder, error)) {
      if (entry.path().extension() == ".json") {
        known.push_back(entry.path().lexically_relative(folder).string());
      }
    }
  }
  const std::string nearest = nearest_word(name, known);
  if (!nearest.empty()) message += "; did you mean " + nearest + "?";
  throw Error(Exit::usage, message);
}

std::string_view to_string(OptimizerKind kind) {
  return name_of(kind, kOptimizers);
}

std::string_view to_string(SpikeAction action) {
  return name_of(action, kSpikeActions);
}

std::string_view to_string(ScheduleKind kind) {
  return name_of(kind, kSchedules);
}

std::string format_bytes(std::size_t bytes) {
  constexpr std::array<char const*, 4> kUnits{"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + kUnits[unit];
}

}  // namespace lomo
