#include <filesystem>
#include <system_error>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/files.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/llama.h"
#include "run_environment.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kShardBytes = std::size_t{5} << 30;

}  // namespace

void InitCommand::options(CLI::App& app) {
  app.add_option("--config", config, "a Hugging Face config.json, or a shipped one")->required();
  app.add_option("--output", output, "the model folder to make, new or empty")->required();
  app.add_option("--tokenizer", tokenizer, "a tokenizer.model or tokenizer.json to copy into it");
  app.add_option("--seed", seed, "of the random weights")->capture_default_str();
}

int InitCommand::run(Common const& common) const {
  const fs::path file = find_config(config, shipped_configs());
  const ModelConfig shape = read_model_config(file);
  std::error_code error;
  if (!tokenizer.empty() && !fs::is_regular_file(tokenizer, error)) {
    throw Error(Exit::data, "--tokenizer " + tokenizer + " is not a file");
  }
  if (fs::exists(output, error) && (!fs::is_directory(output, error) || !fs::is_empty(output))) {
    throw Error(Exit::usage, "--output " + output + " exists and is not an empty folder");
  }
  const auto backend = make_engine(common, 0);
  Llama model(*backend, shape, shape.dtype);
  initialise_weights(*backend, model.weights(), shape, seed);
  fs::create_directories(output, error);
  if (error) throw Error(Exit::usage, "--output " + output + ": " + error.message());
  save_model(*backend, model.weights(), shape, output, {}, kShardBytes);
  if (!tokenizer.empty()) {
    const bool json = fs::path(tokenizer).extension() == ".json";
    copy_file(tokenizer, fs::path(output) / (json ? "tokenizer.json" : "tokenizer.model"));
  }
  log::info("{} parameters in {}, random weights of seed {}: {}", shape.parameters(),
            to_string(shape.dtype), seed, output);
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
