#include "prepared_run.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "config_change.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/dist/host_collectives.h"
#include "lomo/plan/plan.h"
#include "lomo/run/rank_consistency.h"

namespace lomo {

PreparedRun::PreparedRun(TrainConfig given, std::filesystem::path const& resume, bool new_output,
                         RunEnvironment const& setting)
    : config(std::move(given)),
      source(resume.empty() ? std::filesystem::path(config.model.path) : resume),
      resuming(!resume.empty()) {
  Communicator& host = setting.ranks.host();
  require_model_folder(source);
  if (resuming) state = read_training_state(source);
  shape = read_model_config(source / "config.json");
  resolve(config, shape);
  if (resuming) check_config_changes();
  if (is_root(&host)) {
    for (std::string const& warning : warnings(config)) log::warn("{}", warning);
  }
  if (new_output) {
    on_root(&host, [&] { RunFolder::check(config.output); });
  }
  auxiliary_files = read_auxiliary_files(source);
  const auto tokenizer = open_tokenizer(source, config, shape);
  if (tokenizer && is_root(&host)) {
    log::info("{}", tokenizer->about());
    for (std::string const& warning : tokenizer->warnings()) log::warn("{}", warning);
  }
  inputs = load_inputs(config, tokenizer.get(), setting.prompts, {});
  check_ids(inputs.train, shape.vocab);
  check_ids(inputs.eval.data, shape.vocab);
  sampler.emplace(inputs.train, config.batch.sequences, config.batch.max_tokens, config.train.seed);
  total = batches_of_run(config, *sampler);
  require_rank_consistency(&host, fingerprints_of(config, source, inputs));
  if (is_root(&host)) describe_data();
  check_resumed_data();
}

void PreparedRun::check_config_changes() {
  const std::filesystem::path file = source / "training_state.json";
  const TrainConfig before = parse_config(state.config, file.string());
  const bool same_strategy = config.clip.strategy == before.clip.strategy;
  if (same_strategy && !config.clip.kept_blocks) {
    config.clip.kept_blocks = before.clip.kept_blocks;  // resolved when the run began
  } else if (!same_strategy && config.clip.kept_blocks == before.clip.kept_blocks) {
    config.clip.kept_blocks.reset();  // that of the other strategy
  }
  changes = config_changes(before, config);
  for (std::string const& change : changes) log::info("changed on resume: {}", change);
}

void PreparedRun::describe_data() const {
  const Sampler::Largest largest = sampler->largest(config.train.epochs);
  log::info("train: {} sequences, {} tokens, {} with a target; {} steps", sequences(),
            inputs.train.tokens(), inputs.train.targets(), total);
  log::info("largest batch: {} tokens, {} with a target", largest.tokens, largest.targets);
  if (inputs.train.truncated + inputs.eval.data.truncated > 0) {
    log::warn(
        "{} training and {} evaluation examples were longer than data.max_length {}: the "
        "start of their passage is cut",
        inputs.train.truncated, inputs.eval.data.truncated, config.data.max_length);
  }
  if (!inputs.special_as_text.empty()) {
    log::warn(
        "special tokens written in the data are read as text: {}. data.parse_special true reads "
        "them as tokens",
        special_list(inputs.special_as_text));
  }
  std::size_t longest = 0;
  for (Sequence const& s : inputs.train.sequences) longest = std::max(longest, s.tokens.size());
  if (static_cast<std::int64_t>(longest) > shape.context) {
    log::warn(
        "the longest sequence has {} tokens, the model was made for {}; lower "
        "data.max_length",
        longest, shape.context);
  }
  if (inputs.eval.empty() && (config.eval.before || config.eval.at_end)) {
    log::info("no evaluation: data.validation names no file and data.validation_share is 0");
  }
}

std::int64_t PreparedRun::sequences() const {
  return static_cast<std::int64_t>(inputs.train.sequences.size());
}

void PreparedRun::check_resumed_data() {
  const std::string hash = content_hash(inputs.train);
  if (!resuming) {
    state.train_sequences = sequences();
    state.train_tokens = inputs.train.tokens();
    state.train_hash = hash;
    return;
  }
  if (state.train_hash != hash) {
    throw Error(Exit::data,
                "the training data changed since the checkpoint was written: it had " +
                    std::to_string(state.train_sequences) + " sequences of " +
                    std::to_string(state.train_tokens) + " tokens, now " +
                    std::to_string(sequences()) + " of " + std::to_string(inputs.train.tokens()) +
                    (state.train_tokens == inputs.train.tokens() ? ", other ones" : "") +
                    ". Put the old files back, or begin a new run with model.path at the "
                    "checkpoint.");
  }
  sampler->seek(state.position);
}

}  // namespace lomo
