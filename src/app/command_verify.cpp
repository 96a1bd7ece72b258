#include <cstdint>
#include <string>

#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/run/verify.h"

namespace lomo::app {

void VerifyCommand::options(CLI::App& app) {
  app.add_option("folder", folder, "a checkpoint, or any Hugging Face LLaMA folder")->required();
}

int VerifyCommand::run() const {
  const Verification result = verify_folder(folder);
  std::string text = folder + ": " + (result.training_state ? "checkpoint" : "model folder") + "\n";
  text += "  weights    " + counted(result.tensors, "tensor") + ", " +
          counted(result.elements, "value") + "\n";
  if (!result.weights_hash.empty()) text += "  hash       " + result.weights_hash + "\n";
  text += std::string("  checksums  ") +
          (result.manifest ? "compared with manifest.json" : "none (no manifest.json)") + "\n";
  if (!result.tokenizer.empty()) text += "  tokenizer  " + result.tokenizer + "\n";
  if (!result.unread.empty()) {
    std::string names;
    for (std::string const& name : result.unread) names += (names.empty() ? "" : ", ") + name;
    text += "  not read   " + names + "\n";
  }
  for (std::string const& note : result.notes) text += "  note: " + note + "\n";
  for (std::string const& problem : result.problems) text += "  problem: " + problem + "\n";
  const bool good = result.problems.empty();
  if (good) {
    text += result.unread.empty() ? "nothing is wrong" : "nothing is wrong with what was read";
  } else {
    text += counted(static_cast<std::int64_t>(result.problems.size()), "problem");
  }
  console::print(text + "\n");
  return static_cast<int>(good ? Exit::done : Exit::data);
}

}  // namespace lomo::app
