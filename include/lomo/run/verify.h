#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lomo {

/// What reading every byte of a model folder tells.
struct Verification {
  std::vector<std::string> problems;  // one sentence each; empty: nothing is wrong
  std::vector<std::string> notes;     // what is no fault and may be one, such as no tokenizer
  std::vector<std::string> unread;    // names of the files and folders nobody looked at
  bool manifest = false;              // checksums were there to compare
  bool training_state = false;        // it is a checkpoint
  std::int64_t tensors = 0, elements = 0;
  std::string tokenizer;  // "512 pieces, bos 1, eos 2"; empty: none that could be read
  /// XXH3 over names, types, shapes and bytes of all weights by name: the same however they are
  /// split into files. Empty when the weights could not be read.
  std::string weights_hash;
};

/// Checks a checkpoint or any Hugging Face LLaMA folder as a run that loads it would, and further:
///   weights     headers, types and shapes against config.json, checksums where a manifest is;
///   values
///               that are not finite, tensors of zeros, magnitudes above 1e4; a stored head that
///               differs from the embedding it is tied to
///   tokenizer   as training reads it; pieces and special ids beyond the vocabulary
///   JSON files  config.json, generation_config.json and those of the tokenizer; bos and eos beyond
///               the vocabulary
///   every file  whether it is a pointer of git-lfs in place of its content
/// Trained LLaMA models have weights below a few hundred. One above 1e4 came from a damaged file or
/// a run that diverged; fp16, whose numbers end at 65504, overflows in its first product.
/// Throws Error(Exit::data) when there is no such folder.
Verification verify_folder(std::filesystem::path const& folder);

}  // namespace lomo
