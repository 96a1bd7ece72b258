#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "disk_layout.h"
#include "lomo/io/files.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/tensor_file.h"
#include "lomo/parallel/host_collectives.h"

namespace lomo {
namespace {

/// Tensors of one file, in checkpoint order.
using Shard = std::vector<WeightShape const*>;

std::size_t bytes_of(WeightShape const& tensor, DType dtype) {
  std::size_t bytes = size_of(dtype);
  for (const std::int64_t extent : tensor.shape) bytes *= static_cast<std::size_t>(extent);
  return bytes;
}

std::vector<Shard> split(DecoderWeights const& weights, DType dtype, std::size_t shard_bytes) {
  std::vector<Shard> shards(1);
  std::size_t held = 0;
  for (WeightShape const& tensor : weights.on_disk) {
    const std::size_t bytes = bytes_of(tensor, dtype);
    if (!shards.back().empty() && bytes > shard_bytes - std::min(held, shard_bytes)) {
      shards.emplace_back();
      held = 0;
    }
    shards.back().push_back(&tensor);
    held += bytes;
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

/// The parts of every tensor on disk that lie on this rank.
std::map<std::string, std::vector<StoredTensor>> stored_tensors(DecoderWeights& weights) {
  const DiskLayout layout(weights.on_disk);
  std::map<std::string, std::vector<StoredTensor>> all;
  for (ParameterGroup const* group : weights.groups()) {
    for (Parameter const& parameter : group->members()) {
      StoredTensor stored = layout.stored(parameter);
      all[stored.name_on_disk()].push_back(std::move(stored));
    }
  }
  return all;
}

void write_index(std::vector<Shard> const& shards, DType dtype, std::filesystem::path const& file) {
  std::size_t total = 0;
  Json map = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (WeightShape const* tensor : shards[i]) {
      total += bytes_of(*tensor, dtype);
      map[tensor->name] = shard_name(i, shards.size());
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

void save_model(Backend& backend, DecoderWeights& weights, ModelConfig const& config,
                std::filesystem::path const& folder, AuxiliaryFiles const& auxiliary_files,
                std::size_t shard_bytes, Communicator& host) {
  const DType dtype = weights.embedding.stacked().dtype();
  const std::vector<Shard> shards = split(weights, dtype, shard_bytes);
  on_root(host, [&] {
    if (!std::filesystem::is_directory(folder)) {
      throw Error("cannot save the model: " + folder.string() + " is not a folder");
    }
    std::set<std::string> names;
    for (std::size_t i = 0; i < shards.size(); ++i) names.insert(shard_name(i, shards.size()));
    if (shards.size() > 1) names.insert(std::string(kIndex));
    refuse_other_weights(folder, names);

    ModelConfig stored = config;
    stored.dtype = dtype;
    write_model_config(folder / "config.json", stored, auxiliary_files.config);
    for (auto const& [name, bytes] : auxiliary_files.files) write_file(folder / name, bytes);
  });
  const auto stored = stored_tensors(weights);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    std::vector<StoredTensor> tensors;
    for (WeightShape const* tensor : shards[i]) {
      auto const& parts = stored.at(tensor->name);
      tensors.insert(tensors.end(), parts.begin(), parts.end());
    }
    write_tensors(backend, host, folder / shard_name(i, shards.size()), tensors,
                  {{"format", "pt"}});
  }
  // Last, so that a folder that a crash left unfinished holds no index and is not mistaken for one.
  on_root(host, [&] {
    if (shards.size() > 1) write_index(shards, dtype, folder / kIndex);
  });
}

}  // namespace lomo
