#include <cstdio>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/run/verify.h"

namespace lomo::app {

void VerifyCommand::options(CLI::App& app) {
  app.add_option("folder", folder, "a checkpoint, or any Hugging Face LLaMA folder")->required();
}

int VerifyCommand::run() const {
  const Verification result = verify_folder(folder);
  std::printf("%s: %s\n", folder.c_str(), result.training_state ? "checkpoint" : "model folder");
  std::printf("  %-10s %lld tensors, %lld values\n", "weights",
              static_cast<long long>(result.tensors), static_cast<long long>(result.elements));
  if (!result.weights_hash.empty()) {
    std::printf("  %-10s %s\n", "hash", result.weights_hash.c_str());
  }
  std::printf("  %-10s %s\n", "checksums",
              result.manifest ? "compared with manifest.json" : "none (no manifest.json)");
  if (!result.tokenizer.empty()) {
    std::printf("  %-10s %s\n", "tokenizer", result.tokenizer.c_str());
  }
  if (!result.unread.empty()) {
    std::string names;
    for (std::string const& name : result.unread) names += (names.empty() ? "" : ", ") + name;
    std::printf("  %-10s %s\n", "not read", names.c_str());
  }
  for (std::string const& note : result.notes) std::printf("  note: %s\n", note.c_str());
  for (std::string const& problem : result.problems) {
    std::printf("  problem: %s\n", problem.c_str());
  }
  if (result.problems.empty()) {
    std::printf("nothing is wrong%s\n", result.unread.empty() ? "" : " with what was read");
    return static_cast<int>(Exit::done);
  }
  std::printf("%zu problem%s\n", result.problems.size(), result.problems.size() == 1 ? "" : "s");
  return static_cast<int>(Exit::data);
}

}  // namespace lomo::app
