#include <filesystem>
#include <functional>
#include <system_error>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/io/files.h"
#include "lomo/io/json.h"
#include "lomo/launch/run_environment.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/decoder.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kShardBytes = std::size_t{5} << 30;

/// `fill` writes beside `output`, which then appears whole. What a process that was stopped left
/// there the next one removes.
void make_whole(fs::path const& output, std::function<void(fs::path const&)> const& fill) {
  const fs::path place = fs::absolute(output / "").parent_path();
  const fs::path partial = place.parent_path() / (".partial-" + place.filename().string());
  const auto cannot = [&](std::error_code const& error) {
    return Error(Exit::usage, "--output " + output.string() + ": " + error.message());
  };
  std::error_code error;
  fs::remove_all(partial, error);
  if (!fs::create_directories(partial, error)) throw cannot(error);
  try {
    fill(partial);
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  fs::rename(partial, place, error);
  if (error) throw cannot(error);
  sync_folder(place.parent_path());
}

}  // namespace

void InitCommand::options(CLI::App& app) {
  app.add_option("--config", config, "a Hugging Face config.json, or a shipped one")->required();
  app.add_option("--output", output, "the model folder to make, new or empty")->required();
  app.add_option("--tokenizer", tokenizer, "a tokenizer.model or tokenizer.json to copy into it");
  app.add_option("--seed", seed, "of the random weights")->capture_default_str();
}

int InitCommand::run(launch::Process const& process) const {
  const fs::path file = find_config(config, launch::shipped_configs());
  const ModelConfig shape = read_model_config(file);
  std::error_code error;
  if (!tokenizer.empty() && !fs::is_regular_file(tokenizer, error)) {
    throw Error(Exit::data, "--tokenizer " + tokenizer + " is not a file");
  }
  if (fs::exists(output, error) && (!fs::is_directory(output, error) || !fs::is_empty(output))) {
    throw Error(Exit::usage, "--output " + output + " exists and is not an empty folder");
  }
  const auto backend = launch::make_engine(process, 0);
  Decoder model(*backend, shape, shape.dtype);
  initialise_weights(*backend, model.weights(), shape, seed);
  make_whole(output, [&](fs::path const& folder) {
    AuxiliaryFiles beside;
    beside.config = read_json(file, Exit::usage);  // what its family needs, as the user wrote it
    save_model(*backend, model.weights(), shape, folder, beside, kShardBytes, model.ranks());
    if (tokenizer.empty()) return;
    const bool json = fs::path(tokenizer).extension() == ".json";
    copy_file(tokenizer, folder / (json ? "tokenizer.json" : "tokenizer.model"));
  });
  log::info("{} in {}, random weights of seed {}: {}", counted(shape.parameters(), "parameter"),
            to_string(shape.dtype), seed, output);
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
