#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lomo {

/// What reading every byte of a model folder tells.
struct Verification {
  std::vector<std::string> problems;  // one sentence each; empty: nothing is wrong
  bool manifest = false;              // checksums were there to compare
  bool training_state = false;        // it is a checkpoint
  std::int64_t tensors = 0, elements = 0;
  /// XXH3 over names, types, shapes and bytes of all weights by name: the same however they are
  /// split into files. Empty when the weights could not be read.
  std::string weights_hash;
};

/// Checks a checkpoint or any Hugging Face LLaMA folder: headers, shapes against config.json,
/// checksums where a manifest is, values that are not finite. Throws Error(Exit::data) when there
/// is no such folder.
Verification verify_folder(std::filesystem::path const& folder);

}  // namespace lomo
