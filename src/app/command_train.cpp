#include <array>
#include <ctime>
#include <filesystem>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/train/training_state.h"
#include "setting.h"
#include "stop.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &local);
  return text.data();
}

}  // namespace

void TrainCommand::options(CLI::App& app) {
  app.add_option("--config", config, "the run, a JSON file or the name of a shipped config");
  app.add_option("--set", overrides, "change one key: optimizer.lr=0.003 (may be repeated)")
      ->allow_extra_args(false);
  app.add_option("--output", output, "run folder, new or empty; default runs/<config>-<time>");
  app.add_option("--resume", resume, "continue from a checkpoint, or from a run folder's newest");
}

int TrainCommand::run(Common const& common, CLI::App const& app) const {
  listen_for_stop();
  const RunSetting setting = run_setting(common);
  RunEnd end = RunEnd::finished;
  if (!resume.empty()) {
    if (!config.empty() || !overrides.empty()) {
      throw Error(Exit::usage,
                  "--resume continues a run in its own config; it goes neither with "
                  "--config nor with --set");
    }
    const fs::path checkpoint = find_checkpoint(resume);
    const TrainingState state = read_training_state(checkpoint);
    TrainConfig run = parse_config(state.config, (checkpoint / "training_state.json").string());
    const bool fresh = !output.empty();
    run.output = fresh ? output : fs::absolute(checkpoint).parent_path().parent_path().string();
    end = run_training(std::move(run), checkpoint, fresh, setting);
  } else {
    if (config.empty()) throw Error(Exit::usage, "no --config and no command.\n" + app.help());
    const fs::path file = find_config(config, shipped_configs());
    TrainConfig run = parse_config(read_config_file(file, overrides), file.string());
    if (!output.empty()) run.output = output;
    if (run.output.empty()) run.output = "runs/" + file.stem().string() + "-" + time_stamp();
    end = run_training(std::move(run), {}, true, setting);
  }
  return static_cast<int>(end == RunEnd::stopped ? Exit::stopped : Exit::done);
}

}  // namespace lomo::app
