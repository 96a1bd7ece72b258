#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

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

/// What stands in a folder instead of safetensors, and the way out.
struct Instead {
  std::string_view begins, ends;  // of a file's name
  std::string_view what, way_out;
};
constexpr std::string_view kSaveAgain =
    "Convert it once in Python with transformers: "
    "AutoModelForCausalLM.from_pretrained(folder, torch_dtype=\"auto\")"
    ".save_pretrained(new_folder, safe_serialization=True)";
constexpr Instead kInstead[] = {
    {"adapter_model", "", "a LoRA adapter, not a model",
     "Merge it into its base model first, with peft's merge_and_unload() and save_pretrained()"},
    {"pytorch_model", "", "no safetensors", kSaveAgain},
    {"consolidated", ".pth", "no safetensors",
     "Convert Meta's files with transformers' convert_llama_weights_to_hf.py, then "
     "AutoModelForCausalLM.from_pretrained(folder, torch_dtype=\"auto\")"
     ".save_pretrained(new_folder, safe_serialization=True)"},
    {"consolidated", ".safetensors", "Mistral's own format",
     "Use the folder's model-*.safetensors and their index, which transformers reads"},
    {"", ".gguf", "a GGUF file, which is for inference", "Use the model's safetensors"},
    {"weights", ".npz", "weights of MLX", "Use the model's safetensors"},
    {"", ".distcp", "a sharded checkpoint of PyTorch's FSDP",
     "Gather it first, with torch.distributed.checkpoint.format_utils.dcp_to_torch_save"},
    {"model-", ".safetensors", "shards without their index",
     "Copy model.safetensors.index.json too"}};

[[noreturn]] void refuse_without_safetensors(std::filesystem::path const& folder) {
  std::string other = other_than_safetensors(folder);
  if (other.empty()) {
    other = folder.string() + " holds no weights: neither " + std::string(kSingle) + " nor " +
            std::string(kIndex) + " is there. Point model.path at a Hugging Face folder";
  }
  throw Error(Exit::data, other);
}

/// A name without what wrappers of training put before its parts.
std::string unwrapped(std::string name) {
  for (std::string_view wrapper : {"_fsdp_wrapped_module.", "_orig_mod.", "module."}) {
    for (std::size_t at = 0; (at = name.find(wrapper, at)) != std::string::npos;) {
      if (at == 0 || name[at - 1] == '.') {
        name.erase(at, wrapper.size());
      } else {
        at += wrapper.size();
      }
    }
  }
  return name;
}

}  // namespace

std::string other_than_safetensors(std::filesystem::path const& folder) {
  std::error_code unreadable;
  for (const std::string_view ours : {kSingle, kIndex}) {
    if (std::filesystem::exists(folder / ours, unreadable)) return {};
  }
  for (Instead const& other : kInstead) {
    std::string found;
    for (auto const& entry : std::filesystem::directory_iterator(folder, unreadable)) {
      const std::string name = entry.path().filename().string();
      const bool is = name.starts_with(other.begins) && name.ends_with(other.ends);
      if (is && (found.empty() || name < found)) found = name;
    }
    if (found.empty()) continue;
    return folder.string() + " holds " + found + ": " + std::string(other.what) + ". " +
           std::string(other.way_out);
  }
  return {};
}

CheckpointFolder::CheckpointFolder(std::filesystem::path const& folder) : folder_(folder) {
  std::error_code unreadable;
  if (!std::filesystem::is_directory(folder, unreadable)) {
    throw Error(Exit::data, folder.string() +
                                " is not a folder; a Hugging Face folder "
                                "(config.json, safetensors) belongs there");
  }
  if (std::filesystem::exists(folder / kSingle, unreadable)) {
    files_.emplace_back(folder / kSingle);
    if (std::filesystem::exists(folder / kIndex, unreadable)) {
      notes_.push_back(folder.string() + " holds " + std::string(kSingle) + " and " +
                       std::string(kIndex) + ": the first is read, as transformers does");
    }
  } else if (std::filesystem::exists(folder / kIndex, unreadable)) {
    open_index(folder / kIndex);
  } else {
    refuse_without_safetensors(folder);
  }
  name_tensors();
}

void CheckpointFolder::name_tensors() {
  bool wrapped = false;
  for (SafetensorsFile const& file : files_) {
    for (SafetensorsEntry const& entry : file.entries()) {
      const std::string name = unwrapped(entry.name);
      wrapped = wrapped || name != entry.name;
      if (!tensors_.emplace(name, Tensor{&file, &entry}).second) {
        throw Error(Exit::data, file.path().string() + ": two tensors are both \"" + name +
                                    "\" without the prefixes of wrappers");
      }
    }
  }
  // Exporters of the bare decoder leave out what the model with a head calls it by.
  const bool bare = tensors_.contains("embed_tokens.weight");
  if (bare) {
    std::map<std::string, Tensor, std::less<>> named;
    for (auto const& [name, tensor] : tensors_) {
      named.emplace(name.starts_with("lm_head.") ? name : "model." + name, tensor);
    }
    tensors_ = std::move(named);
  }
  if (wrapped || bare) {
    notes_.push_back(folder_.string() + ": tensors are read under other names, such as \"" +
                     files_.front().entries().front().name + "\"");
  }
}

bool CheckpointFolder::present(std::filesystem::path const& folder) {
  std::error_code unreadable;
  return std::filesystem::exists(folder / kSingle, unreadable) ||
         std::filesystem::exists(folder / kIndex, unreadable);
}

/// A download or copy that was cut short.
void CheckpointFolder::refuse_missing(
    std::map<std::string, std::vector<std::string>> const& shards) const {
  std::error_code unreadable;
  std::string first;
  std::size_t missing = 0;
  for (auto const& [file, names] : shards) {
    if (std::filesystem::exists(folder_ / file, unreadable)) continue;
    if (missing++ == 0) first = file;
  }
  if (missing == 0) return;
  throw Error(Exit::data, folder_.string() + ": " + std::to_string(missing) + " of the " +
                              std::to_string(shards.size()) +
                              " files that the index names are not there, the first is " + first +
                              ". Copy or download them too");
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
  refuse_missing(shards);
  files_.reserve(shards.size());
  for (auto const& [file, names] : shards) {
    SafetensorsFile const& shard = files_.emplace_back(folder_ / file);
    std::set<std::string> there;
    for (SafetensorsEntry const& entry : shard.entries()) there.insert(entry.name);
    for (std::string const& name : names) {
      if (!there.contains(name)) {
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
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? Tensor{} : found->second;
}

std::vector<std::string> CheckpointFolder::names() const {
  std::vector<std::string> names;
  for (auto const& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

}  // namespace lomo
