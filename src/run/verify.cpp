#include "lomo/run/verify.h"

#include <algorithm>
#include <map>
#include <system_error>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/io/hash.h"
#include "lomo/io/manifest.h"
#include "lomo/io/tensor_scan.h"
#include "lomo/model/config_json.h"
#include "lomo/model/weights.h"
#include "lomo/run/training_state.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

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

/// Non-finite values are problems; the hashes add up to the folder's.
void scan_weights(CheckpointFolder const& checkpoint, Verification& result) {
  Hasher all;
  Activity activity("checking the values of tensors",
                    static_cast<double>(checkpoint.names().size()));
  for (std::string const& name : checkpoint.names()) {  // sorted, so that shards do not matter
    activity.advance();
    const auto [file, entry] = checkpoint.find(name);
    const TensorScan scan = scan_tensor(*file, *entry);
    all.add(name);
    all.add(safetensors_name(entry->dtype));
    for (const std::int64_t extent : entry->shape) all.add(extent);
    all.add(static_cast<std::int64_t>(scan.hash));
    result.tensors += 1;
    result.elements += entry->numel();
    if (scan.nonfinite > 0) {
      result.problems.push_back(file->path().string() + ": tensor \"" + name + "\" has " +
                                std::to_string(scan.nonfinite) +
                                " values that are not finite, the first at " +
                                element_text(*entry, scan.first_bad));
    }
  }
  result.weights_hash = all.text();
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
    }
  }
  std::sort(expected.begin(), expected.end());
  for (std::string const& name : checkpoint.names()) {
    if (std::binary_search(expected.begin(), expected.end(), name)) continue;
    const bool harmless = name.ends_with("rotary_emb.inv_freq") ||
                          (config.tied_embeddings && name == "lm_head.weight");
    if (!harmless) {
      result.problems.push_back("tensor \"" + name + "\" does not belong to this model");
    }
  }
}

void scan_optimizer(fs::path const& path, Verification& result) {
  const SafetensorsFile file(path);
  for (SafetensorsEntry const& entry : file.entries()) {
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
  result.manifest = has_manifest(folder);
  if (result.manifest) result.problems = check_manifest(folder);
  collect(result.problems, [&] {
    const CheckpointFolder checkpoint(folder);
    scan_weights(checkpoint, result);
    compare_shapes(checkpoint, read_model_config(folder / "config.json"), result);
  });
  result.training_state = fs::exists(folder / "training_state.json", error);
  if (result.training_state) collect(result.problems, [&] { read_training_state(folder); });
  if (const fs::path path = folder / "optimizer.safetensors"; fs::exists(path, error)) {
    collect(result.problems, [&] { scan_optimizer(path, result); });
  }
  return result;
}

}  // namespace lomo
