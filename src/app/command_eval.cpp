#include <array>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/launch/run_environment.h"
#include "lomo/parallel/host_collectives.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

/// For programs that read it: seven digits.
std::string in_digits(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.7g", value);
  return text.data();
}

}  // namespace

void EvalCommand::options(CLI::App& app) {
  app.add_option("--config", config, "take task, data and settings from a run's config");
  app.add_option("--set", overrides, "change one key of it")->allow_extra_args(false);
  app.add_option("--model", model, "model folder; with --config in place of its model.path");
  app.add_option("--task", task, "without --config: boolq ... wsc, jsonl, chat, text or ids");
  app.add_option("--data", data, "files to evaluate on, in place of data.validation");
  app.add_option("--output", output, "folder for predictions");
}

int EvalCommand::run(launch::Process const& process) const {
  Json json;
  std::string where = "command line";
  if (!config.empty()) {
    const fs::path file = find_config(config, launch::shipped_configs());
    json = read_config_file(file, overrides);
    where = file.string();
  } else {
    if (model.empty() || task.empty() || data.empty()) {
      throw Error(Exit::usage, "eval needs --config, or --model, --task and --data");
    }
    json = {{"data", {{"task", task}}}, {"optimizer", {{"lr", 1}}}};
    apply_overrides(json, overrides);
  }
  if (!model.empty()) json["model"]["path"] = model;
  if (!data.empty()) {
    json["data"]["validation"] = data;
    json["data"]["validation_share"] = 0;
  }
  TrainConfig run = parse_config(json, where);
  run.output = output;
  if (!config.empty() && model.empty()) {
    // A run's config names the model that the run began with, which may not be what is meant.
    const fs::path trained = fs::path(where).parent_path() / "model";
    std::error_code error;
    const bool finished = fs::exists(trained / "config.json", error) &&
                          !fs::equivalent(trained, run.model.path, error);
    log::info("evaluating {}, the model.path of {}{}", run.model.path, where,
              finished ? "; for the model that this run made: --model " + shell_quoted(trained)
                       : std::string());
  } else {
    log::info("evaluating {}", run.model.path);
  }
  const EvalReport report = run_evaluation(std::move(run), launch::run_environment(process));
  on_root(process.ranks.host(), [&] {
    std::string text;
    for (auto const& [name, value] : report.metrics) {
      text += name + " " + in_digits(value) + "\n";
    }
    console::print(text + "examples " + std::to_string(report.examples) + "\n");
  });
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
