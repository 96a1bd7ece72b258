#include <cstdio>
#include <filesystem>

#include "commands.h"
#include "lomo/core/error.h"
#include "run_environment.h"

namespace lomo::app {

namespace fs = std::filesystem;

void EvalCommand::options(CLI::App& app) {
  app.add_option("--config", config, "take task, data and settings from a run's config");
  app.add_option("--set", overrides, "change one key of it")->allow_extra_args(false);
  app.add_option("--model", model, "model folder; with --config in place of its model.path");
  app.add_option("--task", task, "without --config: boolq ... wsc, jsonl, text or ids");
  app.add_option("--data", data, "files to evaluate on, in place of data.validation");
  app.add_option("--output", output, "folder for predictions");
}

int EvalCommand::run(Common const& common) const {
  Json json;
  std::string where = "command line";
  if (!config.empty()) {
    const fs::path file = find_config(config, shipped_configs());
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
  const EvalReport report = run_evaluation(std::move(run), run_environment(common));
  if (common.ranks.rank() != 0) return static_cast<int>(Exit::done);
  for (auto const& [name, value] : report.metrics) std::printf("%s %.6g\n", name.c_str(), value);
  std::printf("examples %lld\n", static_cast<long long>(report.examples));
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
