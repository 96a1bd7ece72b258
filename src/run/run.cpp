#include "lomo/run/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <optional>
#include <utility>

#include "closing_table.h"
#include "config_change.h"
#include "disk_space.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/share.h"
#include "lomo/dist/words.h"
#include "lomo/model/checkpoint.h"
#include "lomo/plan/clip_plan.h"
#include "lomo/plan/report.h"
#include "lomo/run/agreement.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/training_state.h"
#include "lomo/train/inputs.h"
#include "lomo/train/progress.h"
#include "lomo/train/trainer.h"
#include "save_folder.h"
#include "saver.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

/// One training run from its checked config to its last line.
class Run {
 public:
  Run(TrainConfig config, fs::path const& resume, std::optional<RunFolder> folder,
      RunSetting const& setting)
      : config_(std::move(config)),
        setting_(setting),
        host_(setting.ranks.host()),
        leads_(host_.rank() == 0),
        source_(resume.empty() ? fs::path(config_.model.path) : resume),
        resuming_(!resume.empty()),
        fresh_output_(!folder) {
    if (folder) folder_.emplace(std::move(*folder));
  }

  RunEnd execute() {
    read();
    plan();
    build();
    if (!resuming_ && config_.eval.before) before_ = evaluate_now("before").json();
    while (state_.batches < total_) {
      if (asked_to_stop()) return stop();
      one_step();
    }
    finish();
    return RunEnd::finished;
  }

 private:
  // Everything that needs neither engine nor weights, so that it fails in seconds.
  void read() {
    require_model_folder(source_);
    if (resuming_) state_ = read_training_state(source_);
    shape_ = read_model_config(source_ / "config.json");
    settle(config_, shape_);
    if (resuming_) check_config_changes();
    for (std::string const& warning : warnings(config_)) log::warn("{}", warning);
    if (fresh_output_) {
      only_rank_0(&host_, [&] { RunFolder::check(config_.output); });
    }
    companions_ = read_companions(source_);
    const auto tokenizer = open_tokenizer(source_, config_.data.task);
    inputs_ = load_inputs(config_, tokenizer.get(), setting_.prompts, {});
    check_ids(inputs_.train, shape_.vocab);
    check_ids(inputs_.eval.data, shape_.vocab);
    sampler_.emplace(inputs_.train, config_.batch.sequences, config_.batch.max_tokens,
                     config_.train.seed);
    total_ = batches_of_run(config_, *sampler_);
    require_agreement(&host_, given_of(config_, source_, inputs_));
    describe_data();
    check_resumed_data();
  }

  void check_config_changes() {
    const fs::path file = source_ / "training_state.json";
    const TrainConfig before = parse_config(state_.config, file.string());
    const bool same_strategy = config_.clip.strategy == before.clip.strategy;
    if (same_strategy && !config_.clip.kept_blocks) {
      config_.clip.kept_blocks = before.clip.kept_blocks;  // settled when the run began
    } else if (!same_strategy && config_.clip.kept_blocks == before.clip.kept_blocks) {
      config_.clip.kept_blocks.reset();  // that of the other strategy
    }
    changes_ = config_changes(before, config_);
    for (std::string const& change : changes_) log::info("changed on resume: {}", change);
  }

  void describe_data() const {
    const Sampler::Largest largest = sampler_->largest(config_.train.epochs);
    log::info("train: {} sequences, {} tokens, {} with a target; {} steps", sequences(),
              inputs_.train.tokens(), inputs_.train.targets(), total_);
    log::info("largest batch: {} tokens, {} with a target", largest.tokens, largest.targets);
    if (inputs_.train.truncated + inputs_.eval.data.truncated > 0) {
      log::warn(
          "{} training and {} evaluation examples were longer than data.max_length {}: the "
          "start of their passage is cut",
          inputs_.train.truncated, inputs_.eval.data.truncated, config_.data.max_length);
    }
    std::size_t longest = 0;
    for (Sequence const& s : inputs_.train.sequences) longest = std::max(longest, s.tokens.size());
    if (static_cast<std::int64_t>(longest) > shape_.context) {
      log::warn(
          "the longest sequence has {} tokens, the model was made for {}; lower "
          "data.max_length",
          longest, shape_.context);
    }
    if (inputs_.eval.empty() && (config_.eval.before || config_.eval.at_end)) {
      log::info("no evaluation: data.validation names no file and data.validation_share is 0");
    }
  }

  std::int64_t sequences() const {
    return static_cast<std::int64_t>(inputs_.train.sequences.size());
  }

  void check_resumed_data() {
    const std::string hash = content_hash(inputs_.train);
    if (!resuming_) {
      state_.train_sequences = sequences();
      state_.train_tokens = inputs_.train.tokens();
      state_.train_hash = hash;
      return;
    }
    if (state_.train_hash != hash) {
      throw Error(Exit::data,
                  "the training data changed since the checkpoint was written: it had " +
                      std::to_string(state_.train_sequences) + " sequences of " +
                      std::to_string(state_.train_tokens) + " tokens, now " +
                      std::to_string(sequences()) + " of " +
                      std::to_string(inputs_.train.tokens()) +
                      (state_.train_tokens == inputs_.train.tokens() ? ", other ones" : "") +
                      ". Put the old files back, or begin a new run with model.path at the "
                      "checkpoint.");
    }
    sampler_->seek(state_.position);
    before_ = state_.metrics_before;
  }

  // Rehearses the run; its engine then reserves what that took, so that a run that has started does
  // not run out of engine memory.
  void plan() {
    const PlannedBatches batches =
        planned_batches(config_, inputs_, *sampler_,
                        std::max<std::int64_t>(total_ - state_.batches, 1), host_.size());
    settle_clip(config_, shape_, batches, setting_.make_dry);
    config_.clip.kept_blocks = std::ranges::min(host_.all_gather_host(*config_.clip.kept_blocks));
    const Plan plan = make_plan(config_, shape_, batches, setting_.make_dry);
    log::info("{}", plan_line(plan));
    if (*config_.clip.kept_blocks > 0) {
      log::info("one backward for verdict and update in {} of {} blocks", *config_.clip.kept_blocks,
                shape_.layers);
    }
    reserve_ = plan.slab;
    try {
      require_memory("the run", plan.slab, setting_.available_memory(), config_.memory.budget,
                     "See what would save some: " + setting_.program +
                         " plan --advise --config ...; or start anyway with --override-memory");
    } catch (Error const& lacking) {
      if (!setting_.override_memory) throw;
      log::warn("{}", lacking.what());
    }
  }

  void build() {
    host_.barrier();  // all have looked at what is free before anyone takes any
    engine_.emplace(setting_.make_engine(reserve_));
    backend_ = engine_->backend.get();
    log::info("{}{}", backend_->describe(),
              host_.size() > 1 ? ", " + std::to_string(host_.size()) + " ranks" : "");
    // Before the weights, so that the probe never adds to what a run needs.
    const double peak = measure_gemm_peak(*backend_, *config_.model.dtype);
    model_ = load_model(*engine_, shape_, config_, source_);
    trainer_.emplace(
        *model_, config_,
        Schedule(config_.schedule.kind, config_.optimizer.lr, config_.schedule.warmup, total_));
    if (resuming_) {
      trainer_->restore(state_.trainer);
      load_optimizer(source_, *backend_, trainer_->rule());
    }
    require_space();
    open_folder();
    log::info("{} parameters in {}, optimizer {}, run folder {}", shape_.parameters(),
              to_string(*config_.model.dtype), to_string(config_.optimizer.name),
              folder_->root().string());
    backend_->ledger().restart();
    progress_.emplace(Progress::Options{total_, peak, setting_.terminal}, backend_->ledger());
  }

  void require_space() {
    if (setting_.ignore_disk_space) return;
    DiskNeed need;
    need.weights = static_cast<std::uint64_t>(shape_.parameters()) * size_of(*config_.model.dtype);
    for (StoredTensor const& tensor : trainer_->rule().state()) {
      need.optimizer += tensor.whole_bytes();
    }
    need.total = total_;
    only_rank_0(&host_, [&] { require_disk_space(config_.output, config_.save, need); });
  }

  void open_folder() {
    if (fresh_output_) {
      only_rank_0(&host_, [&] { folder_.emplace(RunFolder::create(config_.output)); });
      if (!leads_) folder_.emplace(RunFolder::follow(config_.output));
    }
    require_shared(&host_, folder_->root());
    log::also_to(folder_->log());
    const auto effective = to_json(config_);
    if (leads_ && (fresh_output_ || !resuming_ || !changes_.empty())) {
      folder_->write_config(effective);
    }
    state_.config = Json::parse(effective.dump());
    if (resuming_) {
      if (leads_) set_newer_aside();
      log::info("continuing after step {} from {}", state_.trainer.applied, source_.string());
      folder_->metric(
          {{"event", "resume"}, {"batch", state_.batches}, {"step", state_.trainer.applied}});
    } else if (!fresh_output_) {
      log::info("no checkpoint in {} yet: beginning again", folder_->root().string());
      folder_->metric({{"event", "restart"}});
    }
    const bool own = resuming_ && !fresh_output_;
    saver_.emplace(*folder_, config_.save, companions_,
                   own ? std::optional(state_.batches) : std::nullopt, &host_);
  }

  void set_newer_aside() const {
    for (fs::path const& moved : folder_->set_aside_after(state_.batches)) {
      log::warn("newer than the checkpoint this run goes on from, moved to {}", moved.string());
    }
  }

  /// All ranks stop at the same step.
  bool asked_to_stop() {
    if (!any(&host_, setting_.stop_requested())) return false;
    if (host_.size() > 1) log::info("asked to stop: saving");
    return true;
  }

  void one_step() {
    const std::int64_t epoch = sampler_->position().epoch;
    const StepReport report =
        trainer_->step(share_of(sampler_->draw(), host_.rank(), host_.size()));
    state_.batches += 1;
    state_.position = sampler_->position();
    state_.trainer = trainer_->state();
    state_.evaluation = nullptr;
    record(report, epoch);
    tell(report);
    progress_->step(report, state_.batches);
    if (state_.batches < total_) between_steps(state_.position.epoch > epoch);
  }

  /// What is out of the ordinary in a step.
  void tell(StepReport const& report) {
    if (report.outcome == StepOutcome::applied && !report.is_spike) return;
    progress_->clear();
    if (report.is_spike) {
      log::warn(
          "batch {} is a spike: loss {:.4g} (z {:.1f}), gradient norm {:.4g} (z {:.1f}); "
          "guard.action {}",
          state_.batches, report.loss, report.spike.loss, report.grad_norm, report.spike.norm,
          to_string(config_.guard.action));
    }
    if (report.outcome == StepOutcome::applied) return;
    log::warn("batch {} skipped: {} (loss {:.4g}, gradient norm {:.4g}); {} skipped so far",
              state_.batches, to_string(report.outcome), report.loss, report.grad_norm,
              state_.trainer.skipped);
    if (report.outcome == StepOutcome::overflow) {
      log::warn("the loss scale falls from {:g} to {:g}", report.loss_scale,
                state_.trainer.loss_scale.scale);
    }
    if (report.partial) log::warn("{}", describe(*report.partial));
  }

  void between_steps(bool epoch_ended) {
    const auto due = [](std::int64_t count, std::int64_t every) {
      return every > 0 && count > 0 && count % every == 0;
    };
    if (due(state_.batches, config_.eval.every_steps)) {
      evaluate_now("step-" + std::to_string(state_.batches));
    } else if (epoch_ended && due(state_.position.epoch, config_.eval.every_epochs)) {
      evaluate_now("epoch-" + std::to_string(state_.position.epoch));
    }
    if (any(&host_, leads_ && saver_->due(state_.batches))) try_checkpoint();
  }

  void record(StepReport const& report, std::int64_t epoch) {
    nlohmann::ordered_json line{{"event", "step"},
                                {"batch", state_.batches},
                                {"step", report.step},
                                {"epoch", epoch},
                                {"outcome", to_string(report.outcome)},
                                {"loss", report.loss},
                                {"grad_norm", report.grad_norm},
                                {"lr", report.lr},
                                {"clip_coefficient", report.coefficient},
                                {"tokens", report.tokens},
                                {"targets", report.targets},
                                {"seconds", report.seconds}};
    if (*config_.model.dtype == DType::f16) line["loss_scale"] = report.loss_scale;
    if (config_.guard.action != GuardAction::off) {
      line["loss_z"] = report.spike.loss;
      line["norm_z"] = report.spike.norm;
    }
    if (report.rounding) {
      line["changed"] = report.rounding->changed;
      line["realised"] = report.rounding->realised;
    }
    if (report.partial) {
      line["updated_tensors"] = report.partial->updated;
      line["stopped_in"] = report.partial->stopped_in;
    }
    folder_->metric(line);
  }

  EvalReport evaluate_now(std::string const& tag) {
    if (inputs_.eval.empty()) return {};
    progress_->clear();
    EvalReport report = evaluate(*model_, inputs_.eval, config_.eval);
    nlohmann::ordered_json line{{"event", "eval"}, {"tag", tag}, {"batch", state_.batches}};
    for (auto const& [name, value] : report.metrics) line[name] = value;
    line["examples"] = report.examples;
    line["seconds"] = report.seconds;
    folder_->metric(line);
    state_.evaluation = report.json();
    if (leads_) keep_predictions(report, tag);
    log::info("eval {}: {} ({} examples, {:.1f} s)", tag, report.summary(), report.examples,
              report.seconds);
    progress_->clear();
    return report;
  }

  void keep_predictions(EvalReport const& report, std::string const& tag) {
    const fs::path folder = folder_->predictions() / tag;
    try {
      write_predictions(inputs_.eval, report, folder);
    } catch (std::exception const& error) {  // a full disk is no reason to lose the run
      log::error("cannot write predictions to {}: {}", folder.string(), error.what());
    }
  }

  fs::path checkpoint() {
    progress_->clear();
    state_.metrics_before = before_;
    return saver_->write(*model_, trainer_->rule(), state_);
  }

  void try_checkpoint() {
    progress_->clear();
    state_.metrics_before = before_;
    saver_->try_write(*model_, trainer_->rule(), state_);
  }

  RunEnd stop() {
    const fs::path path = checkpoint();
    log::warn("stopped after {} of {} steps. Go on with: {} --resume {}", state_.batches, total_,
              setting_.program, path.string());
    return RunEnd::stopped;
  }

  void finish() {
    progress_->clear();
    // Before the last evaluation and the model, so that neither can lose the run.
    SaveSection const& save = config_.save;
    if (!save.final_model) {
      checkpoint();
    } else if (save.every_steps > 0 || save.every_minutes > 0) {
      try_checkpoint();
    }
    const EvalReport after = config_.eval.at_end ? evaluate_now("end") : EvalReport{};
    fs::path saved;
    if (config_.save.final_model) {
      saved = folder_->model();
      ModelConfig shape = shape_;
      shape.dtype = *config_.model.dtype;
      save_final(shape, saved);
    }
    ClosingTable table;
    table.before = before_;
    table.after = after.json();
    table.memory = backend_->ledger().at_peak();
    table.peak_bytes = backend_->ledger().peak();
    table.tokens_per_second = progress_->tokens_per_second();
    table.peak_share = progress_->peak_share();
    table.steps = state_.trainer.applied;
    table.skipped = state_.trainer.skipped;
    table.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    table.model = saved;
    table.run = folder_->root();
    if (!leads_) return;
    const std::string text = table.render();
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  void save_final(ModelConfig const& shape, fs::path const& folder) {
    save_folder(folder, &host_, [&](fs::path const& partial) {
      save_model(*backend_, model_->weights(), shape, partial, companions_, config_.save.shard_size,
                 &host_);
    });
  }

  using Clock = std::chrono::steady_clock;
  TrainConfig config_;
  RunSetting const& setting_;
  Communicator& host_;
  bool leads_;       // writes what is written once
  fs::path source_;  // the folder weights and tokenizer come from
  bool resuming_;
  bool fresh_output_;
  Clock::time_point start_ = Clock::now();

  ModelConfig shape_;
  Companions companions_;  // of source_
  Inputs inputs_;
  std::optional<Sampler> sampler_;
  std::int64_t total_ = 0;   // batches of the whole run
  std::size_t reserve_ = 0;  // bytes of engine memory
  std::optional<Engine> engine_;
  Backend* backend_ = nullptr;  // of engine_
  std::unique_ptr<Llama> model_;
  std::optional<Trainer> trainer_;
  std::optional<RunFolder> folder_;
  std::optional<Saver> saver_;
  std::vector<std::string> changes_;  // of the config, on resume
  std::optional<Progress> progress_;
  TrainingState state_;
  Json before_;
};

}  // namespace

RunEnd run_training(TrainConfig config, fs::path const& resume, std::optional<RunFolder> folder,
                    RunSetting const& setting) {
  Run run(std::move(config), resume, std::move(folder), setting);
  try {
    return run.execute();
  } catch (...) {
    setting.failing(std::current_exception());
    throw;
  }
}

}  // namespace lomo
