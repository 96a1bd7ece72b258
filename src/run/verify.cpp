#include "lomo/run/verify.h"

#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/io/hash.h"
#include "lomo/io/manifest.h"
#include "lomo/io/tensor_scan.h"
#include "lomo/model/config_json.h"
#include "lomo/model/name_map.h"
#include "lomo/model/weights.h"
#include "lomo/run/training_state.h"
#include "verify_files.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr double kLargestWeight = 1e4;  // see verify.h

std::string shape_text(std::vector<std::int64_t> const& shape) {
  SafetensorsEntry entry;
  entry.shape = shape;
  return entry.shape_text();
}

/// Runs `part`; an error it ends with becomes a problem.
template <class F>
void collect(std::vector<std::string>& problems, F&& part) {
  try {
    part();
  } catch (Error const& error) {
    problems.push_back(error.what());
  } catch (fs::filesystem_error const& error) {
    problems.push_back(error.what());
  }
}

/// "model.safetensors: tensor "lm_head.weight" ".
std::string name_of(CheckpointFolder::Tensor const& tensor) {
  return tensor.file->path().string() + ": tensor \"" + tensor.entry->name + "\" ";
}

void judge_values(CheckpointFolder::Tensor const& tensor, TensorScan const& scan,
                  Verification& result) {
  const bool number = tensor.entry->dtype != DType::i32;
  if (scan.nonfinite > 0) {
    result.problems.push_back(name_of(tensor) + "has " + std::to_string(scan.nonfinite) +
                              " values that are not finite, the first at " +
                              element_text(*tensor.entry, scan.first_bad));
  } else if (number && scan.largest == 0 && tensor.entry->numel() > 0 &&
             !NameMap::is_bias(tensor.entry->name)) {
    result.problems.push_back(name_of(tensor) + "is all zeros");
  }
  if (scan.largest > kLargestWeight) {
    result.problems.push_back(name_of(tensor) + "has a value of magnitude " +
                              human_number(scan.largest) +
                              "; trained weights are below a few hundred");
  }
}

/// Some exporters write the head of a tied model too; it must then be what it is tied to.
void compare_tied_head(CheckpointFolder const& checkpoint,
                       std::map<std::string, std::uint64_t> const& hashes, Verification& result) {
  const NameMap names;
  const auto head = checkpoint.find(names.head), embedding = checkpoint.find(names.embedding);
  if (head.entry == nullptr || embedding.entry == nullptr) return;
  if (head.entry->dtype == embedding.entry->dtype &&
      hashes.at(names.head) == hashes.at(names.embedding)) {
    return;
  }
  result.problems.push_back(name_of(head) +
                            "differs from the embedding, but config.json ties the "
                            "two; set tie_word_embeddings to false");
}

/// What its values are; the hashes add up to the folder's.
std::map<std::string, std::uint64_t> scan_weights(CheckpointFolder const& checkpoint,
                                                  Verification& result) {
  Hasher all;
  std::map<std::string, std::uint64_t> hashes;
  Activity activity("checking the values of tensors",
                    static_cast<double>(checkpoint.names().size()));
  for (std::string const& name : checkpoint.names()) {  // sorted, so that shards do not matter
    activity.advance();
    const auto tensor = checkpoint.find(name);
    if (!tensor.entry->readable) {
      result.notes.push_back("tensor \"" + name + "\" holds " + tensor.entry->type +
                             ", which is not read");
      continue;
    }
    const TensorScan scan = scan_tensor(*tensor.file, *tensor.entry);
    all.add(name);
    all.add(safetensors_name(tensor.entry->dtype));
    for (const std::int64_t extent : tensor.entry->shape) all.add(extent);
    all.add(static_cast<std::int64_t>(scan.hash));
    hashes[name] = scan.hash;
    result.tensors += 1;
    result.elements += tensor.entry->numel();
    judge_values(tensor, scan, result);
  }
  result.weights_hash = all.text();
  return hashes;
}

void compare_shapes(CheckpointFolder const& checkpoint, ModelConfig const& config,
                    Verification& result) {
  std::vector<std::string> expected;
  for (WeightShape const& weight : weight_shapes(config)) {
    expected.push_back(weight.name);
    const auto [file, entry] = checkpoint.find(weight.name);
    if (entry == nullptr) {
      result.problems.push_back("tensor \"" + weight.name + "\" of shape " +
                                shape_text(weight.shape) + " is missing");
    } else if (entry->shape != weight.shape) {
      result.problems.push_back(file->path().string() + ": tensor \"" + weight.name +
                                "\" has shape " + entry->shape_text() + ", config.json asks for " +
                                shape_text(weight.shape));
    } else if (!entry->readable || entry->dtype == DType::i32) {
      result.problems.push_back(name_of({file, entry}) + "holds " + entry->type +
                                "; weights are read as F64, F32, BF16 or F16");
    }
  }
  std::sort(expected.begin(), expected.end());
  for (std::string const& name : checkpoint.names()) {
    if (std::binary_search(expected.begin(), expected.end(), name)) continue;
    if (NameMap::is_ignored(name) || (config.tied_embeddings && name == NameMap().head)) continue;
    const std::string text = "tensor \"" + name + "\" does not belong to this model";
    NameMap::is_of_a_layer(name) ? result.problems.push_back(text)
                                 : result.notes.push_back(text + ": it is not read");
  }
}

void scan_optimizer(fs::path const& path, Verification& result) {
  const SafetensorsFile file(path);
  for (SafetensorsEntry const& entry : file.entries()) {
    if (!entry.readable) {
      result.problems.push_back(path.string() + ": tensor \"" + entry.name + "\" holds " +
                                entry.type);
      continue;
    }
    const TensorScan scan = scan_tensor(file, entry);
    if (scan.nonfinite == 0) continue;
    result.problems.push_back(path.string() + ": tensor \"" + entry.name + "\" has " +
                              std::to_string(scan.nonfinite) + " values that are not finite");
  }
}

}  // namespace

Verification verify_folder(fs::path const& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw Error(Exit::data, folder.string() +
                                " is not a folder; name a checkpoint, the model/ of "
                                "a run, or any Hugging Face LLaMA folder");
  }
  Verification result;
  std::set<std::string> read{kManifestName};
  result.manifest = has_manifest(folder);
  if (result.manifest) result.problems = check_manifest(folder);
  std::int64_t vocab = 0;
  collect(result.problems, [&] {
    const CheckpointFolder checkpoint(folder);
    read.insert("model.safetensors.index.json");
    for (SafetensorsFile const& file : checkpoint.files()) {
      read.insert(file.path().filename().string());
    }
    const auto hashes = scan_weights(checkpoint, result);
    const ModelConfig config = read_model_config(folder / "config.json");
    vocab = config.vocab;
    compare_shapes(checkpoint, config, result);
    if (config.tied_embeddings) compare_tied_head(checkpoint, hashes, result);
  });
  verify_companions(folder, vocab, result, read);
  result.training_state = fs::exists(folder / "training_state.json", error);
  if (result.training_state) {
    read.insert("training_state.json");
    collect(result.problems, [&] { read_training_state(folder); });
  }
  if (const fs::path path = folder / "optimizer.safetensors"; fs::exists(path, error)) {
    read.insert(path.filename().string());
    collect(result.problems, [&] { scan_optimizer(path, result); });
  }
  verify_listing(folder, read, result);
  return result;
}

}  // namespace lomo
