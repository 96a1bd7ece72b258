#include "prepared_run.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "data_report.h"
#include "lomo/config/change.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/plan/plan.h"
#include "lomo/run/rank_consistency.h"
#include "lomo/runtime/runtime.h"
#include "run_clock.h"

namespace lomo {

namespace {

constexpr std::uint64_t kPrediction = 128;  // bytes of a line beside its texts

/// Bytes of optimizer state that a checkpoint holds, as an engine that computes nothing counts
/// them.
std::uint64_t optimizer_bytes(TrainConfig const& config, ModelConfig const& shape,
                              MakeEngine const& make_dry) {
  Runtime runtime(Engine(make_dry().backend), config, shape);
  Trainer& trainer = runtime.start_training(schedule_of(config, /*total=*/1));
  std::uint64_t bytes = 0;
  for (StoredTensor const& tensor : trainer.rule().state()) bytes += tensor.whole_bytes();
  return bytes;
}

/// Bytes of what one evaluation writes.
std::uint64_t prediction_bytes(EvalSet const& set) {
  std::uint64_t bytes = 0;
  for (Example const& example : set.examples) {
    bytes += kPrediction;
    if (!set.task)
      bytes += example.where.size() + example.prompt.size() + 2 * example.answer.size();
  }
  return bytes;
}

}  // namespace

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
  if (is_root(host)) {
    for (std::string const& warning : warnings(config)) log::warn("{}", warning);
    for (std::string const& warning : unused_keys(config)) log::warn("{}", warning);
    for (auto const& warning : unknown_key_warnings(shape, source / "config.json")) {
      log::warn("{}", warning);
    }
  }
  auxiliary_files = read_auxiliary_files(source);
  check_weights(source, shape);
  std::optional<DiskNeed> need;  // none where the disk is not looked at
  const auto require_space = [&] {
    if (need) on_root(host, [&] { require_disk_space(config.output, config, *need); });
  };
  if (!setting.ignore_disk_space) need = least_disk_need(setting);
  require_space();
  if (new_output) {
    on_root(host, [&] { RunFolder::check(config.output); });
  }
  tokenizer = open_tokenizer(source, config, shape.vocab);
  inputs = load_inputs(config, tokenizer.get(), setting.prompts, {});
  check_ids(inputs.train, shape.vocab);
  check_ids(inputs.eval.data, shape.vocab);
  sampler.emplace(inputs.train, config.batch.sequences, config.batch.max_tokens, config.train.seed);
  total = batches_of_run(config, *sampler);
  const RunLength length{total, sampler->batches_per_epoch(0), !inputs.eval.empty()};
  require_meaning(config, length);
  if (need) need = disk_need(*need, length);
  require_space();
  if (is_root(host)) {
    for (std::string const& warning : warnings(config, length)) log::warn("{}", warning);
  }
  require_rank_consistency(host, fingerprints_of(config, source, inputs));
  if (is_root(host)) describe_data();
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
  if (!config.train.recompute) config.train.recompute = before.train.recompute;
  changes = config_changes(before, config);
  for (std::string const& change : changes) log::info("changed on resume: {}", change);
}

DiskNeed PreparedRun::least_disk_need(RunEnvironment const& setting) const {
  DiskNeed need;
  need.model = auxiliary_files.bytes() +
               static_cast<std::uint64_t>(shape.parameters()) * size_of(*config.model.dtype);
  need.optimizer = optimizer_bytes(config, shape, setting.make_dry);
  need.done = state.batches;
  return need;
}

DiskNeed PreparedRun::disk_need(DiskNeed least, RunLength const& length) const {
  least.total = length.steps;
  const std::int64_t evaluations =
      remaining(config.eval, config.save, length.evaluates, state.batches, length.steps,
                static_cast<double>(length.steps_per_epoch))
          .evaluations +
      (config.eval.before && !resuming ? 1 : 0);
  least.predictions = static_cast<std::uint64_t>(evaluations) * prediction_bytes(inputs.eval);
  return least;
}

void PreparedRun::describe_data() const {
  const Sampler::Largest largest = sampler->largest(total);
  log_data(config, tokenizer.get(), inputs, console::can_draw(),
           counted(total, "step") + ", the largest of " + counted(largest.tokens, "token"));
  std::int64_t longest = 0;
  for (std::size_t i = 0; i < inputs.train.size(); ++i) {
    longest = std::max(longest, inputs.train.length(i));
  }
  if (longest > shape.context) {
    log::warn("the longest sequence has {}, the model was made for {}; lower data.max_length",
              counted(longest, "token"), human_count(shape.context));
  }
}

std::int64_t PreparedRun::sequences() const {
  return static_cast<std::int64_t>(inputs.train.size());
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
                    counted(state.train_sequences, "sequence") + " of " +
                    counted(state.train_tokens, "token") + ", now " + human_count(sequences()) +
                    " of " + human_count(inputs.train.tokens()) +
                    (state.train_tokens == inputs.train.tokens() ? ", other ones" : "") +
                    ". Put the old files back, or begin a new run with model.path at the "
                    "checkpoint.");
  }
  sampler->seek(state.position);
}

}  // namespace lomo
