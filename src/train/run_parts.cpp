#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/model/checkpoint.h"
#include "lomo/train/plan.h"
#include "lomo/train/run.h"
#include "lomo/train/trainer.h"

namespace lomo {

namespace fs = std::filesystem;

void require_model_folder(fs::path const& folder) {
  std::error_code error;
  if (fs::is_regular_file(folder / "config.json", error)) return;
  const bool there = fs::is_directory(folder, error);
  throw Error(Exit::data,
              "model.path: " + folder.string() + (there ? " has no config.json" : " is not there") +
                  ". A Hugging Face LLaMA folder belongs there: config.json, model.safetensors (or "
                  "its shards with model.safetensors.index.json) and tokenizer.model.");
}

std::unique_ptr<Tokenizer> open_tokenizer(fs::path const& folder, std::string const& task) {
  std::error_code error;
  if (task == "ids" && !fs::exists(folder / "tokenizer.model", error)) return nullptr;
  return std::make_unique<Tokenizer>(folder);
}

std::unique_ptr<Llama> load_model(Backend& backend, ModelConfig const& shape,
                                  TrainConfig const& config, fs::path const& folder) {
  auto model = std::make_unique<Llama>(backend, shape, *config.model.dtype, head_options(config));
  const LoadReport report = load_weights(backend, model->weights(), folder);
  if (report.largest_rounding > 0) {
    log::info("weights converted to {}: largest relative rounding {:.2e} ({})",
              to_string(*config.model.dtype), report.largest_rounding, report.worst_tensor);
  }
  return model;
}

EvalReport run_evaluation(TrainConfig config, RunSetting const& setting) {
  const fs::path folder = config.model.path;
  require_model_folder(folder);
  const ModelConfig shape = read_model_config(folder / "config.json");
  settle(config, shape);
  const auto tokenizer = open_tokenizer(folder, config.data.task);
  const Inputs inputs =
      load_inputs(config, tokenizer.get(), setting.prompts, {.train = false, .eval = true});
  if (inputs.eval.empty()) {
    throw Error(Exit::usage,
                "data.validation names no file and data.validation_share is 0: there "
                "is nothing to evaluate");
  }
  check_ids(inputs.eval.data, shape.vocab);
  if (setting.ranks.size() > 1) {
    throw Error(Exit::usage, "this version does not evaluate on several ranks yet; start it alone");
  }
  const std::size_t reserve =
      planned_evaluation(config, shape, planned_eval_batches(config, inputs), setting.make_dry);
  require_memory("the evaluation", reserve, setting.available_memory(), config.memory.budget,
                 "Lower eval.max_tokens, or choose a smaller model.dtype.");
  const auto backend = setting.make_engine(reserve);
  log::info("{}", backend->describe());
  const auto model = load_model(*backend, shape, config, folder);
  EvalReport report = evaluate(*model, inputs.eval, config.eval);
  if (!config.output.empty()) write_predictions(inputs.eval, report, config.output);
  return report;
}

}  // namespace lomo
