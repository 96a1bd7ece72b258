#include "plan_target.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/launch/run_environment.h"
#include "lomo/model/checkpoint.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

/// The folder's config where there is one, else model.shape of the run's config.
ModelConfig model_shape(TrainConfig const& config, std::string const& where) {
  std::error_code error;
  const fs::path file = fs::path(config.model.path) / "config.json";
  if (fs::is_regular_file(file, error)) return read_model_config(file);
  if (!config.model.shape.is_object()) {
    throw Error(Exit::usage, where + ": there is no " + file.string() +
                                 " and no model.shape to plan without it");
  }
  ModelConfig shape =
      model_config_from_json(JsonReader(config.model.shape, where, Exit::usage, "/model/shape"));
  shape.dtype = config.model.dtype.value_or(DType::bf16);
  return shape;
}

bool all_there(TrainConfig const& config) {
  std::error_code error;
  const auto there = [&](std::string const& file) { return fs::is_regular_file(file, error); };
  DataSection const& data = config.data;
  if (data.train.empty() || !std::all_of(data.train.begin(), data.train.end(), there)) return false;
  if (!std::all_of(data.validation.begin(), data.validation.end(), there)) return false;
  return data.task == "ids" || Tokenizer::is_in(config.model.path);
}

}  // namespace

void PlanTarget::options(CLI::App& app) {
  app.add_option("--config", config, "the run, a JSON file or the name of a shipped config")
      ->required();
  app.add_option("--set", overrides, "change one key of it")->allow_extra_args(false);
  const auto positive = CLI::Range(std::int64_t{1}, std::int64_t{1} << 31);
  app.add_option("--tokens", tokens, "a batch of so many tokens, whatever the data")
      ->check(positive);
  app.add_option("--sequences", sequences, "its sequences; default: of data.max_length")
      ->check(positive);
  app.add_option("--targets", targets, "its tokens with a target; default: all")->check(positive);
}

PlanTarget::Read PlanTarget::read(int ranks) const {
  const fs::path file = find_config(config, launch::shipped_configs());
  Read out;
  out.run = parse_config(read_config_file(file, overrides), file.string());
  out.shape = model_shape(out.run, file.string());
  resolve(out.run, out.shape);
  TrainConfig const& run = out.run;
  if (tokens > 0) {
    BatchCounts counts;
    counts.tokens = tokens;
    counts.targets = targets > 0 ? targets : tokens;
    counts.sequences =
        sequences > 0 ? sequences : (tokens + run.data.max_length - 1) / run.data.max_length;
    counts.ids = std::min(tokens, out.shape.vocab);
    out.batches.emplace_back().train.push_back(
        replicated_batch(batch_with(shard_batch(counts, ranks)), /*rank=*/0, ranks));
    out.batch_source = "as given";
  } else if (sequences > 0 || targets > 0) {
    throw Error(Exit::usage, "--sequences and --targets go with --tokens");
  } else if (all_there(run)) {
    const auto tokenizer = open_tokenizer(run.model.path, run, out.shape.vocab);
    const Inputs inputs = load_inputs(run, tokenizer.get(), launch::shipped_prompts(), {});
    check_ids(inputs.train, out.shape.vocab);
    check_ids(inputs.eval.data, out.shape.vocab);
    const Sampler sampler(inputs.train, run.batch.sequences, run.batch.max_tokens, run.train.seed);
    const DrawnBatches drawn =
        drawn_batches(run, out.shape, inputs, sampler, batches_of_run(run, sampler), ranks);
    for (int rank = 0; rank < ranks; ++rank) out.batches.push_back(drawn.of_rank(rank, ranks));
    out.batch_source = "of the data, the largest";
  } else {
    out.batches.push_back(planned_batches(run, out.shape, ranks));
    out.batch_source = "the largest that the config allows (the data are not here)";
  }
  return out;
}

}  // namespace lomo::app
