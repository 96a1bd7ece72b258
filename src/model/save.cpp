#include <array>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "lomo/io/files.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/tensor_file.h"
#include "lomo/parallel/host_collectives.h"

namespace lomo {
namespace {

/// Parameters of one file, in checkpoint order.
using Shard = std::vector<Parameter const*>;

std::vector<Shard> split(LlamaWeights& weights, std::size_t shard_bytes) {
  std::vector<Shard> shards(1);
  std::size_t held = 0;
  for (ParameterGroup const* group : weights.groups()) {
    for (Parameter const& parameter : group->members()) {
      const std::size_t bytes = stored(parameter).whole_bytes();
      if (!shards.back().empty() && bytes > shard_bytes - std::min(held, shard_bytes)) {
        shards.emplace_back();
        held = 0;
      }
      shards.back().push_back(&parameter);
      held += bytes;
    }
  }
  return shards;
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name.data();
}

constexpr std::string_view kIndex = "model.safetensors.index.json";

/// Weights of another save would be read in place of these, or beside them.
void refuse_other_weights(std::filesystem::path const& folder, std::set<std::string> const& ours) {
  for (auto const& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool weights =
        name == kIndex || (name.starts_with("model") && name.ends_with(".safetensors"));
    if (weights && !ours.contains(name)) {
      throw Error(Exit::usage, folder.string() + " already holds " + name +
                                   " of another save; choose an empty folder");
    }
  }
}

void write_shard(Backend& backend, Communicator& host, Shard const& shard,
                 std::filesystem::path const& file) {
  std::vector<StoredTensor> tensors;
  for (Parameter const* parameter : shard) tensors.push_back(stored(*parameter));
  write_tensors(backend, host, file, tensors, {{"format", "pt"}});
}

void write_index(std::vector<Shard> const& shards, std::filesystem::path const& file) {
  std::size_t total = 0;
  Json map = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (Parameter const* parameter : shards[i]) {
      total += stored(*parameter).whole_bytes();
      map[parameter->name] = shard_name(i, shards.size());
    }
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_file(file, index.dump(2) + "\n");
}

}  // namespace

std::uint64_t AuxiliaryFiles::bytes() const {
  std::uint64_t sum = 0;
  for (auto const& [name, text] : files) sum += text.size();
  return sum;
}

AuxiliaryFiles read_auxiliary_files(std::filesystem::path const& folder) {
  static const std::set<std::string> kNames = {"added_tokens.json",
                                               "generation_config.json",
                                               "merges.txt",
                                               "special_tokens_map.json",
                                               "tokenizer.json",
                                               "tokenizer.model",
                                               "tokenizer_config.json",
                                               "vocab.json"};
  AuxiliaryFiles auxiliary_files;
  auxiliary_files.config = read_json(folder / "config.json", Exit::data);
  std::error_code unreadable;
  for (auto const& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file(unreadable) &&
        (kNames.contains(name) || name.starts_with("chat_template"))) {
      auxiliary_files.files[name] = read_file(entry.path(), Exit::data);
    }
  }
  return auxiliary_files;
}

void save_model(Backend& backend, LlamaWeights& weights, ModelConfig const& config,
                std::filesystem::path const& folder, AuxiliaryFiles const& auxiliary_files,
                std::size_t shard_bytes, Communicator& host) {
  const std::vector<Shard> shards = split(weights, shard_bytes);
  on_root(host, [&] {
    if (!std::filesystem::is_directory(folder)) {
      throw Error("cannot save the model: " + folder.string() + " is not a folder");
    }
    std::set<std::string> names;
    for (std::size_t i = 0; i < shards.size(); ++i) names.insert(shard_name(i, shards.size()));
    if (shards.size() > 1) names.insert(std::string(kIndex));
    refuse_other_weights(folder, names);

    ModelConfig stored = config;
    stored.dtype = weights.embedding.stacked().dtype();
    write_model_config(folder / "config.json", stored, auxiliary_files.config);
    for (auto const& [name, bytes] : auxiliary_files.files) write_file(folder / name, bytes);
  });
  for (std::size_t i = 0; i < shards.size(); ++i) {
    write_shard(backend, host, shards[i], folder / shard_name(i, shards.size()));
  }
  // Last, so that a folder that a crash left unfinished holds no index and is not mistaken for one.
  on_root(host, [&] {
    if (shards.size() > 1) write_index(shards, folder / kIndex);
  });
}

}  // namespace lomo
