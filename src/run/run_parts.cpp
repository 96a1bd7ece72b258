#include <algorithm>
#include <system_error>

#include "data_report.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/safetensors.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/config_json.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/plan/report.h"
#include "lomo/run/rank_consistency.h"
#include "lomo/run/run.h"
#include "lomo/runtime/runtime.h"
#include "lomo/train/progress.h"

namespace lomo {

namespace fs = std::filesystem;

void require_model_folder(fs::path const& folder) {
  std::error_code error;
  if (fs::is_regular_file(folder / "config.json", error)) return;
  const bool there = fs::is_directory(folder, error);
  const std::string other = there ? other_than_safetensors(folder) : "";
  if (!other.empty()) throw Error(Exit::data, "model.path: " + other);
  const std::string name = folder.string();
  const bool of_hub = !there && std::count(name.begin(), name.end(), '/') == 1 &&
                      name.front() != '.' && name.front() != '/';
  throw Error(
      Exit::data,
      "model.path: " + name + (there ? " has no config.json" : " is not there") +
          ". A Hugging Face folder belongs there: config.json, model.safetensors (or its shards "
          "with model.safetensors.index.json) and tokenizer.json or tokenizer.model." +
          (of_hub ? " If it is a name of the Hugging Face hub, download it first: hf download " +
                        name + " --local-dir models/" + folder.filename().string()
                  : ""));
}

std::unique_ptr<Tokenizer> open_tokenizer(fs::path const& folder, TrainConfig const& config,
                                          std::int64_t rows) {
  if (config.data.task == "ids" && !Tokenizer::is_in(folder)) return nullptr;
  const TokenizerOptions options{config.model.tokenizer, config.data.parse_special};
  auto tokenizer = std::make_unique<Tokenizer>(folder, options);
  if (rows > 0) require_rows(*tokenizer, rows, folder);
  return tokenizer;
}

EvalReport run_evaluation(TrainConfig config, RunEnvironment const& setting) {
  const fs::path folder = config.model.path;
  require_model_folder(folder);
  const ModelConfig shape = read_model_config(folder / "config.json");
  resolve(config, shape);
  if (is_root(setting.ranks.host())) {
    for (auto const& warning : unknown_key_warnings(shape, folder / "config.json")) {
      log::warn("{}", warning);
    }
  }
  check_weights(folder, shape);
  const auto tokenizer = open_tokenizer(folder, config, shape.vocab);
  const Inputs inputs =
      load_inputs(config, tokenizer.get(), setting.prompts, {.train = false, .eval = true});
  if (inputs.eval.empty()) {
    throw Error(Exit::usage,
                "data.validation names no file and data.validation_share is 0: there "
                "is nothing to evaluate");
  }
  check_ids(inputs.eval.data, shape.vocab);
  require_rank_consistency(setting.ranks.host(), fingerprints_of(config, folder, inputs));
  const Communicator& host = setting.ranks.host();
  if (host.rank() == 0) {
    log_data(config, tokenizer.get(), inputs, console::can_draw());
  }
  const DrawnBatches batches = drawn_evaluation(config, shape, inputs, host.size());
  const MemoryUse plan = planned_evaluation(
      config, shape, batches.of_rank(host.rank(), host.size()), setting.make_dry);
  log::info("{}", plan_line(plan));
  require_memory("the evaluation", plan.slab, setting.available_memory(), config.memory.budget,
                 "Lower eval.max_tokens, or choose a smaller model.dtype.");
  Runtime runtime(setting.make_engine(plan.slab), config, shape);
  log::info("{}", runtime.backend().describe());
  try {
    runtime.load(folder);
    EvalReport report = evaluate(runtime.model(), inputs.eval, config.eval);
    log::info("{}", peak_line(runtime.ledger()));
    log_samples(inputs.eval, report);
    if (!config.output.empty()) {
      on_root(setting.ranks.host(), [&] { write_predictions(inputs.eval, report, config.output); });
    }
    return report;
  } catch (...) {
    setting.failing(std::current_exception());
    throw;
  }
}

}  // namespace lomo
