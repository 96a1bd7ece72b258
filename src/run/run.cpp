#include "lomo/run/run.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "best_evaluation.h"
#include "closing_table.h"
#include "data_report.h"
#include "final_model.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/model/checkpoint.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/run/rank_consistency.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/run_outcome.h"
#include "lomo/run/step_recorder.h"
#include "lomo/runtime/runtime.h"
#include "lomo/train/inputs.h"
#include "lomo/train/progress.h"
#include "prepared_run.h"
#include "rank_memory.h"
#include "retention.h"
#include "run_clock.h"
#include "run_plan.h"
#include "saver.h"
#include "step_notes.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

/// One training run from its checked config to its last line.
class Run {
 public:
  Run(TrainConfig config, fs::path const& resume, std::optional<RunFolder> folder,
      RunEnvironment const& setting)
      : setting_(setting),
        host_(setting.ranks.host()),
        is_root_(host_.rank() == 0),
        new_output_(!folder),
        recorder_(setting.trace, setting.ranks),
        given_(std::move(config), resume, new_output_, setting),
        config_(given_.config),
        state_(given_.state),
        folder_(std::move(folder)),
        before_(state_.metrics_before),
        begun_after_(state_.batches),
        best_(config_.save) {}

  RunEnd execute() {
    clock_.enter(Part::setup);
    build(plan_run(given_, setting_));
    if (!given_.resuming) before_training();
    host_.barrier();  // a rank that is asked to stop here ends all before any has made a step
    setting_.defer_stops();
    clock_.enter(Part::training);
    while (state_.batches < given_.total) {
      if (asked_to_stop()) return stop();
      one_step();
    }
    return finish();
  }

 private:
  /// `memory`: bytes for the engine to reserve.
  void build(std::size_t memory) {
    host_.barrier();  // all have looked at what is free before anyone takes any
    runtime_.emplace(setting_.make_engine(memory), config_, given_.shape,
                     Runtime::Probe::gemm_peak);
    runtime_->load(given_.source);
    Trainer& trainer = runtime_->start_training(schedule_of(config_, given_.total));
    if (given_.resuming) {
      trainer.restore(state_.trainer);
      load_optimizer(given_.source, runtime_->backend(), trainer.rule());
    }
    open_folder();
    log::info("{} in {} by {} on {}{}; run folder {}",
              counted(given_.shape.parameters(), "parameter"), to_string(*config_.model.dtype),
              to_string(config_.optimizer.kind), runtime_->backend().describe(),
              host_.size() > 1 ? ", " + std::to_string(host_.size()) + " ranks" : "",
              folder_->root().string());
    runtime_->ledger().restart();
    progress_.emplace(Progress::Options{given_.total, runtime_->gemm_peak()}, runtime_->ledger());
  }

  void open_folder() {
    if (new_output_) {
      on_root(host_, [&] { folder_.emplace(RunFolder::create(config_.output)); });
      if (!is_root_) folder_.emplace(RunFolder::follow(config_.output));
    }
    require_shared(host_, folder_->root());
    log::also_to(folder_->log());
    const auto effective = to_json(config_);
    if (is_root_ && (new_output_ || !given_.resuming || !given_.changes.empty())) {
      folder_->write_config(effective);
    }
    state_.config = Json::parse(effective.dump());
    if (given_.resuming) {
      if (is_root_) set_newer_aside();
      log::info("continuing after step {} from {}", state_.trainer.applied, given_.source.string());
      folder_->metric(
          {{"event", "resume"}, {"batch", state_.batches}, {"step", state_.trainer.applied}});
    } else if (!new_output_) {
      log::info("no checkpoint in {} yet: beginning again", folder_->root().string());
      folder_->metric({{"event", "restart"}});
    }
    const bool own = given_.resuming && !new_output_;
    if (own) best_.add_before(folder_->metrics(), state_.batches);
    saver_.emplace(*folder_, config_.save, given_.auxiliary_files,
                   own ? std::optional(state_.batches) : std::nullopt, host_);
  }

  void set_newer_aside() const {
    for (fs::path const& moved : folder_->set_aside_after(state_.batches)) {
      log::warn("newer than the checkpoint this run resumes from, moved to {}", moved.string());
    }
  }

  /// All ranks stop at the same step.
  bool asked_to_stop() {
    if (!any_rank(host_, setting_.stop_requested())) return false;
    if (host_.size() > 1) log::info("asked to stop: saving");
    return true;
  }

  void one_step() {
    const std::int64_t epoch = given_.sampler->position().epoch;
    const ShardedBatch batch = shard_batch(given_.sampler->draw(), host_.rank(), host_.size());
    recorder_.before(runtime_->backend(), state_.batches + 1);
    const StepReport report = take_step(batch);
    recorder_.after(runtime_->backend());
    state_.batches += 1;
    state_.position = given_.sampler->position();
    state_.trainer = runtime_->trainer().state();
    state_.record.add(report);
    state_.evaluation = nullptr;
    folder_->metric(step_line(report, state_.batches, epoch, config_));
    if (is_root_ && is_unusual(report)) {  // it is the same on all ranks
      tell(report, state_, config_);
    }
    progress_->step(report, state_.batches, epochs(), seconds_left());
    if (report.partial) {  // the weights in memory are those of no step
      throw Error(Exit::diverged, "step " + human_count(state_.batches) + ": " +
                                      describe(*report.partial) + where_to_go_on() +
                                      " gradient_check \"step\" keeps such a step away from "
                                      "every weight.");
    }
    if (state_.batches < given_.total) between_steps(state_.position.epoch > epoch);
  }

  /// A run that diverges says where it can go on.
  StepReport take_step(ShardedBatch const& batch) {
    try {
      return runtime_->trainer().step(batch);
    } catch (Error const& error) {
      if (error.code() != Exit::diverged) throw;
      throw Error(Exit::diverged, error.what() + where_to_go_on());
    }
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
    if (any_rank(host_, is_root_ && (saver_->due(state_.batches) || is_best()))) try_checkpoint();
  }

  /// Whether the model as it is has to be kept to become the final one.
  bool is_best() const {
    if (config_.save.final_model != FinalModel::best) return false;
    const auto now = ranked(config_.save, state_.evaluation, state_.batches);
    const auto best = best_checkpoint(folder_->checkpoints(), config_.save);
    return now && (!best || is_better(*now, *best));
  }

  void before_training() {
    std::optional<double> loss;
    if (config_.eval.before) before_ = evaluate_now("before").json();
    if (before_.is_object() && before_.contains("loss")) {
      loss = before_["loss"].get<double>();
      runtime_->trainer().evaluated_before(*loss);
      state_.trainer = runtime_->trainer().state();
    }
    const std::string warning = rate_warning(config_, loss, given_.shape.vocab);
    if (is_root_ && !warning.empty()) log::warn("{}", warning);
  }

  /// Passes over the data so far.
  double epochs() const {
    return static_cast<double>(state_.position.epoch) +
           static_cast<double>(state_.position.next) / static_cast<double>(state_.train_sequences);
  }

  double seconds_left() const {
    const double so_far = epochs();
    const double epoch = so_far > 0 ? static_cast<double>(state_.batches) / so_far : 0;
    return lomo::seconds_left(clock_, progress_->steps() + 1,
                              remaining(config_.eval, config_.save, !given_.inputs.eval.empty(),
                                        state_.batches, given_.total, epoch),
                              config_.save);
  }

  /// An evaluation that is asked to stop is not recorded.
  EvalReport evaluate_now(std::string const& tag) {
    if (given_.inputs.eval.empty()) return {};
    const Spending spending(clock_, Part::evaluation);
    EvalReport report = evaluate(runtime_->model(), given_.inputs.eval, config_.eval,
                                 [this] { return any_rank(host_, setting_.stop_requested()); });
    progress_->pause();
    if (report.stopped) return report;
    nlohmann::ordered_json line{{"event", "eval"}, {"tag", tag}, {"batch", state_.batches}};
    for (auto const& [name, value] : report.metrics) line[name] = value;
    line["examples"] = report.examples;
    if (!report.samples.empty()) line["samples"] = samples_of(given_.inputs.eval, report);
    line["seconds"] = report.seconds;
    folder_->metric(line);
    state_.evaluation = report.json();
    if (is_root_) keep_predictions(report, tag);
    best_.add(report.json(), state_.batches);
    log::info("eval {}: {} ({}, {})", tag, report.summary(), counted(report.examples, "example"),
              human_duration(report.seconds));
    log_samples(given_.inputs.eval, report);
    return report;
  }

  void keep_predictions(EvalReport const& report, std::string const& tag) {
    const fs::path folder = folder_->predictions() / tag;
    try {
      write_predictions(given_.inputs.eval, report, folder);
    } catch (std::exception const& error) {  // a full disk is no reason to lose the run
      log::error("cannot write predictions to {}: {}", folder.string(), error.what());
    }
  }

  fs::path checkpoint() {
    const Spending spending(clock_, Part::saving);
    state_.metrics_before = before_;
    return saver_->write(runtime_->model(), runtime_->trainer().rule(), state_);
  }

  void try_checkpoint() {
    const Spending spending(clock_, Part::saving);
    state_.metrics_before = before_;
    saver_->try_write(runtime_->model(), runtime_->trainer().rule(), state_);
  }

  RunEnd stop() {
    progress_->finish();
    recorder_.finish();
    const fs::path path = checkpoint();
    if (!is_root_) return RunEnd::stopped;
    log::warn("stopped after {} of {}. Go on with: {} --resume {}", human_count(state_.batches),
              counted(given_.total, "step"), shell_quoted(setting_.program), shell_quoted(path));
    return RunEnd::stopped;
  }

  RunEnd finish() {
    progress_->finish();
    recorder_.finish();
    // Before the last evaluation and the model, so that neither can lose the run.
    SaveSection const& save = config_.save;
    if (save.final_model == FinalModel::none) {
      checkpoint();
    } else if (save.every_steps > 0 || save.every_minutes > 0) {
      try_checkpoint();
    }
    BeforeAndAfter evaluations{before_, nullptr,
                               static_cast<std::int64_t>(given_.inputs.eval.examples.size())};
    if (config_.eval.at_end && !evaluate_after(evaluations)) return stop();
    const RunOutcome outcome = judge_run(config_, state_.record, evaluations);
    folder_->metric(outcome.event());
    const fs::path saved = save_final_model(outcome.damaged);
    close(outcome, evaluations.after, saved);
    return outcome.damaged ? RunEnd::diverged : RunEnd::finished;
  }

  fs::path save_final_model(bool damaged) {
    const Spending spending(clock_, Part::saving);
    return write_final_model(*folder_, config_.save,
                             ranked(config_.save, state_.evaluation, state_.batches), damaged,
                             host_, [this](fs::path const& partial) { save_last(partial); });
  }

  /// False when it was asked to stop. A model that has diverged is a fact about the run, which goes
  /// on to its end.
  bool evaluate_after(BeforeAndAfter& evaluations) {
    try {
      const EvalReport report = evaluate_now("end");
      if (report.stopped) return false;
      evaluations.after = report.json();
    } catch (Error const& error) {
      if (error.code() != Exit::diverged) throw;
      evaluations.after_failed = true;
      if (is_root_) log::error("the evaluation after the last step failed: {}", error.what());
    }
    return true;
  }

  /// The closing table between what is wrong with the run, which is its first word and its last.
  void close(RunOutcome const& outcome, Json const& after, fs::path const& saved) {
    const auto peaks = peaks_of_ranks(host_, runtime_->ledger());
    folder_->metric(memory_event(peaks));
    ClosingTable table(*progress_, runtime_->ledger());
    table.best = best_.found();
    if (table.best) table.best_model = model_of(table.best->step, saved);
    table.epochs = epochs();
    table.resumed_after = begun_after_;
    table.clock = clock_;
    if (*config_.model.dtype == DType::f16) {
      table.loss_scale = state_.trainer.loss_scale.scale;
    }
    table.before = before_;
    table.after = after;
    table.peaks = totals(peaks);
    table.steps = state_.trainer.applied;
    table.skipped = state_.trainer.skipped;
    table.model = saved;
    table.run = folder_->root();
    folder_->metric(table.json());
    on_root(host_, [&] { console::print(outcome.headline() + table.render()); });
    if (!is_root_) return;
    for (RunOutcome::Problem const& problem : outcome.problems) log::warn("{}", problem.text);
    if (outcome.damaged && !saved.empty()) {
      log::error("the model is damaged and lies aside, in \"{}\".{}", saved.string(),
                 where_to_go_on());
    }
  }

  /// Where the model of a step lies, if it was kept.
  fs::path model_of(std::int64_t step, fs::path const& final_model) const {
    std::error_code error;
    const fs::path checkpoint = folder_->checkpoint(step);
    if (fs::exists(checkpoint, error)) return checkpoint;
    return step == state_.batches ? final_model : fs::path();
  }

  std::string where_to_go_on() const {
    const fs::path last = saver_->last();
    return last.empty() ? " No checkpoint was written: begin again."
                        : " The last checkpoint is \"" + last.string() + "\".";
  }

  void save_last(fs::path const& partial) {
    ModelConfig shape = given_.shape;
    shape.dtype = *config_.model.dtype;
    save_model(runtime_->backend(), runtime_->model().weights(), shape, partial,
               given_.auxiliary_files, config_.save.shard_size, host_);
  }

  RunClock clock_;
  RunEnvironment const& setting_;
  Communicator& host_;
  bool is_root_;  // writes what is written once
  bool new_output_;
  StepRecorder recorder_;  // outlives the engine
  PreparedRun given_;
  TrainConfig& config_;  // of given_; what the plan resolves is noted there
  TrainingState state_;
  std::optional<RunFolder> folder_;
  Json before_;               // metrics before training
  std::int64_t begun_after_;  // the step this process resumes from
  BestEvaluation best_;
  std::optional<Runtime> runtime_;
  std::optional<Saver> saver_;
  std::optional<Progress> progress_;
};

}  // namespace

RunEnd run_training(TrainConfig config, fs::path const& resume, std::optional<RunFolder> folder,
                    RunEnvironment const& setting) {
  std::optional<Run> run;  // outlives the handler, for which the engine must still exist
  try {
    run.emplace(std::move(config), resume, std::move(folder), setting);
    return run->execute();
  } catch (...) {
    setting.failing(std::current_exception());
    throw;
  }
}

}  // namespace lomo
