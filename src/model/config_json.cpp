#include "lomo/model/config_json.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "families/common.h"
#include "families/family.h"
#include "lomo/io/safetensors.h"

namespace lomo {
namespace {

/// The family that model_type names, the first where it names none. Architectures must be known.
Family const& family_of(JsonReader reader) {
  reader.null_means_absent();
  std::map<std::string_view, Family const*> of_type, of_architecture;
  std::string types, architectures;
  for (Family const& family : families()) {
    of_type[family.model_type] = &family;
    of_architecture[family.architecture] = &family;
    types += (types.empty() ? "" : ", ") + std::string(family.model_type);
    architectures += (architectures.empty() ? "" : ", ") + std::string(family.architecture);
  }
  std::string type(families().front().model_type);
  reader.get("model_type", type);
  if (!of_type.contains(type)) {
    const std::string_view other = what_else(type);
    reader.fail("model_type", "\"" + type + "\" is " +
                                  (other.empty() ? "" : std::string(other) + ", which is ") +
                                  "not supported; known are " + types);
  }
  std::vector<std::string> names;
  reader.get("architectures", names);
  for (std::string const& name : names) {
    if (!of_architecture.contains(name) && name != "LLaMAForCausalLM") {  // an old spelling
      reader.fail("architectures", name + " is not supported; known are " + architectures);
    }
  }
  return *of_type.at(type);
}

void read_dtype(JsonReader& reader, ModelConfig& config) {
  config.dtype = DType::f32;
  std::string first;
  for (char const* key : {"dtype", "torch_dtype"}) {
    std::string name;
    if (!reader.get(key, name)) continue;
    const auto dtype = parse_dtype(name);
    if (!dtype) reader.fail(key, name + " is not supported; float32, bfloat16, float16 are");
    if (!first.empty() && first != name) reader.fail(key, "differs from dtype, " + first);
    first = name;
    config.dtype = *dtype;
  }
}

/// The type of the first tensor of a folder's safetensors, where it has any.
std::optional<DType> stored_dtype(std::filesystem::path const& folder) {
  if (!CheckpointFolder::present(folder)) return std::nullopt;
  const CheckpointFolder checkpoint(folder);
  auto const& entries = checkpoint.files().front().entries();
  if (entries.empty()) return std::nullopt;
  const DType dtype = entries.front().dtype;
  return dtype == DType::i32 || dtype == DType::f64 ? std::nullopt : std::optional(dtype);
}

}  // namespace

ModelConfig model_config_from_json(JsonReader reader) {
  Family const& family = family_of(reader);
  for (char const* key : {"model_type", "architectures"}) reader.has(key);
  ModelConfig config;
  config.family = family.model_type;
  family.read(reader, config);
  reading::refuse_unsupported(reader);
  reading::know_inert(reader);
  read_dtype(reader, config);
  config.unknown_keys = reader.unknown_keys();
  return config;
}

std::vector<std::string> unknown_key_warnings(ModelConfig const& config, std::string const& where) {
  if (config.unknown_keys.empty()) return {};
  std::string keys;
  for (std::string const& key : config.unknown_keys) keys += (keys.empty() ? "" : ", ") + key;
  return {where + ": not known and not read: " + keys +
          ". If one of them changes what the model computes, this does not; model.strict refuses "
          "such keys."};
}

ModelConfig read_model_config(std::filesystem::path const& config_json) {
  const Json json = read_json(config_json, Exit::data);
  ModelConfig config = model_config_from_json(JsonReader(json, config_json.string(), Exit::data));
  const auto says = [&](char const* key) {
    const auto it = json.find(key);
    return it != json.end() && !it->is_null();
  };
  // A config that does not say how its weights are stored leaves that to the weights beside it.
  if (!says("dtype") && !says("torch_dtype")) {
    if (const auto stored = stored_dtype(config_json.parent_path())) config.dtype = *stored;
  }
  return config;
}

}  // namespace lomo
