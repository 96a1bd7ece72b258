#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/launch/run_environment.h"
#include "lomo/model/config_json.h"
#include "lomo/run/inspection.h"
#include "lomo/run/run.h"

namespace lomo::app {

void InspectCommand::options(CLI::App& app) {
  app.add_option("--config", config, "the run, a JSON file or the name of a shipped config")
      ->required();
  app.add_option("--set", overrides, "change one key of it")->allow_extra_args(false);
  app.add_option("--count", count, "examples shown of training, and of evaluation")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31))
      ->capture_default_str();
  app.add_flag("--pieces", pieces, "show each piece with its id, too");
}

int InspectCommand::run() const {
  const std::filesystem::path file = find_config(config, launch::shipped_configs());
  const TrainConfig run = parse_config(read_config_file(file, overrides), file.string());
  const std::filesystem::path shape = std::filesystem::path(run.model.path) / "config.json";
  const std::int64_t rows = std::filesystem::exists(shape) ? read_model_config(shape).vocab
                                                           : 0;  // weights need not be there
  const auto tokenizer = open_tokenizer(run.model.path, run, rows);
  const Inputs inputs = load_inputs(run, tokenizer.get(), launch::shipped_prompts(),
                                    {.train = !run.data.train.empty(), .eval = true});
  if (inputs.train.empty() && inputs.eval.empty()) {
    throw Error(
        Exit::usage,
        file.string() + ": data.train and data.validation name no file: there is nothing to show");
  }
  char const* const plain = std::getenv("NO_COLOR");
  const bool colour = isatty(STDOUT_FILENO) == 1 && (plain == nullptr || *plain == '\0');
  console::print_while_read(
      inspect(run, tokenizer.get(), inputs, {.count = count, .pieces = pieces, .colour = colour}));
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
