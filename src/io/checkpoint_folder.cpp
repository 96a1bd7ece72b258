#include <algorithm>
#include <map>

#include "lomo/io/json.h"
#include "lomo/io/safetensors.h"

namespace lomo {
namespace {

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

/// A plain file name: nothing that could lead out of the folder.
bool plain_name(std::string const& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

/// What stands in the folder instead of safetensors.
[[noreturn]] void refuse_without_safetensors(std::filesystem::path const& folder) {
  std::string other;
  std::error_code unreadable;
  for (auto const& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    const std::string name = entry.path().filename().string();
    const bool torch = name.starts_with("pytorch_model") ||
                       (name.starts_with("consolidated") && name.ends_with(".pth"));
    if (torch && (other.empty() || name < other)) other = name;
  }
  if (other.empty()) {
    throw Error(Exit::data, folder.string() + " holds no weights: neither " + std::string(kSingle) +
                                " nor " + std::string(kIndex) +
                                " is there. Point model.path at a Hugging Face LLaMA folder");
  }
  const bool original = other.ends_with(".pth");
  throw Error(
      Exit::data,
      folder.string() + " holds " + other + " but no safetensors. " +
          (original
               ? "Convert Meta's files with transformers' convert_llama_weights_to_hf.py, then "
               : "Convert it once in Python with transformers: ") +
          "AutoModelForCausalLM.from_pretrained(folder, torch_dtype=\"auto\")"
          ".save_pretrained(new_folder, safe_serialization=True)");
}

}  // namespace

CheckpointFolder::CheckpointFolder(std::filesystem::path const& folder) : folder_(folder) {
  std::error_code unreadable;
  if (!std::filesystem::is_directory(folder, unreadable)) {
    throw Error(Exit::data, folder.string() +
                                " is not a folder; a Hugging Face LLaMA folder "
                                "(config.json, safetensors) belongs there");
  }
  if (std::filesystem::exists(folder / kSingle, unreadable)) {
    files_.emplace_back(folder / kSingle);
  } else if (std::filesystem::exists(folder / kIndex, unreadable)) {
    open_index(folder / kIndex);
  } else {
    refuse_without_safetensors(folder);
  }
}

bool CheckpointFolder::present(std::filesystem::path const& folder) {
  std::error_code unreadable;
  return std::filesystem::exists(folder / kSingle, unreadable) ||
         std::filesystem::exists(folder / kIndex, unreadable);
}

void CheckpointFolder::open_index(std::filesystem::path const& index) {
  const Json json = read_json(index, Exit::data);
  JsonReader reader(json, index.string(), Exit::data);
  reader.require("weight_map");
  const auto map = *reader.object("weight_map");
  std::map<std::string, std::vector<std::string>> shards;  // file -> tensors it should hold
  for (auto const& [name, value] : reader.raw("weight_map")->items()) {
    if (!value.is_string() || !plain_name(value.get_ref<std::string const&>())) {
      map.fail(name, "expected the name of a file in this folder, found " +
                         value.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    shards[value.get<std::string>()].push_back(name);
  }
  if (shards.empty()) map.fail("", "names no tensors");
  files_.reserve(shards.size());
  for (auto const& [file, names] : shards) {
    SafetensorsFile const& shard = files_.emplace_back(folder_ / file);
    for (std::string const& name : names) {
      if (shard.find(name) == nullptr) {
        map.fail(name, "this tensor is not in " + file + ", where the index says it is");
      }
    }
    for (SafetensorsEntry const& entry : shard.entries()) {
      if (!std::binary_search(names.begin(), names.end(), entry.name)) {
        throw Error(Exit::data, shard.path().string() + " holds the tensor \"" + entry.name +
                                    "\", which " + index.filename().string() +
                                    " does not place there");
      }
    }
  }
}

CheckpointFolder::Tensor CheckpointFolder::find(std::string_view name) const {
  for (SafetensorsFile const& file : files_) {
    if (SafetensorsEntry const* entry = file.find(name)) return {&file, entry};
  }
  return {};
}

std::vector<std::string> CheckpointFolder::names() const {
  std::vector<std::string> names;
  for (SafetensorsFile const& file : files_) {
    for (SafetensorsEntry const& entry : file.entries()) names.push_back(entry.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lomo
