#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/launch/error_reporter.h"
#include "lomo/launch/run_environment.h"
#include "lomo/launch/stop.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/run/rank_consistency.h"
#include "lomo/run/run_folder.h"
#include "lomo/run/training_state.h"

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

/// What --trace and --trace-steps say.
TraceRequest trace_request(std::string const& file, std::string const& steps) {
  TraceRequest request{.file = file};
  const std::size_t dash = std::min(steps.find('-'), steps.size());
  const auto number = [&](std::size_t begin, std::size_t end, std::int64_t& value) {
    char const* const last = steps.data() + end;
    const auto read = std::from_chars(steps.data() + begin, last, value);
    return read.ec == std::errc() && read.ptr == last;
  };
  bool good = number(0, dash, request.first);
  request.last = request.first;
  if (dash < steps.size()) good = good && number(dash + 1, steps.size(), request.last);
  if (good && 1 <= request.first && request.first <= request.last) return request;
  throw Error(Exit::usage, "--trace-steps " + steps +
                               ": expected FIRST-LAST, or one number, counted from 1, as in 2-3");
}

}  // namespace

void TrainCommand::options(CLI::App& app) {
  app.add_option("--config", config, "the run, a JSON file or the name of a shipped config");
  app.add_option("--set", overrides, "change one key: optimizer.lr=0.003 (may be repeated)")
      ->allow_extra_args(false);
  app.add_option("--output", output, "run folder, new or empty; default runs/<config>-<time>");
  resume_option_ = app.add_option("--resume", resume,
                                  "resume from a checkpoint, or from the newest whole one of a run "
                                  "folder (default: that of --output)")
                       ->expected(0, 1);
  app.add_flag("--no-resume", no_resume, "begin anew even where --resume is given as well");
  app.add_flag("--ignore-disk-space", ignore_disk_space,
               "start though the disk cannot hold what the run will write");
  app.add_flag("--override-memory", override_memory,
               "start though the plan says that the run does not fit");
  auto* const traced =
      app.add_option("--trace", trace,
                     "write a Chrome trace of some steps to this file: what ran when on the queues "
                     "of every rank");
  app.add_option("--trace-steps", trace_steps,
                 "which steps of this process, FIRST-LAST, counted from 1")
      ->needs(traced)
      ->capture_default_str();
}

/// Where the run goes on, when it does.
struct TrainCommand::Start {
  std::optional<RunFolder> folder;  // the run's own
  fs::path checkpoint;              // empty: from the beginning
  bool finished = false;            // nothing is left to do

  /// What rank 0 found, for the others.
  std::string words() const;
  static Start follow(std::string const& words);
};

std::string TrainCommand::Start::words() const {
  return Json{{"finished", finished},
              {"folder", folder ? folder->root().string() : ""},
              {"checkpoint", checkpoint.string()}}
      .dump();
}

TrainCommand::Start TrainCommand::Start::follow(std::string const& words) {
  const Json found = Json::parse(words);
  Start start;
  const std::string root = found["folder"];
  if (!root.empty()) start.folder.emplace(RunFolder::follow(root));
  start.checkpoint = found["checkpoint"].get<std::string>();
  start.finished = found["finished"];
  return start;
}

TrainCommand::Start TrainCommand::find_start() const {
  Start start;
  if (no_resume || resume_option_->count() == 0) return start;
  if (resume.empty() && output.empty()) {
    throw Error(Exit::usage,
                "--resume: nothing says what to resume; name a run folder or a checkpoint, or "
                "give --output");
  }
  const fs::path from = resume.empty() ? output : resume;
  if (resume.empty() && !RunFolder::is_run(from)) return start;  // its first start
  std::error_code error;
  const bool run = RunFolder::is_run(from) && !fs::exists(from / "training_state.json", error);
  const fs::path root =
      run ? from : fs::absolute(from).lexically_normal().parent_path().parent_path();
  const bool own =
      output.empty() || fs::weakly_canonical(output, error) == fs::weakly_canonical(root, error);
  start.finished = resume.empty() && fs::exists(root / "model", error);
  if (start.finished) return start;
  // Locked before its checkpoints are looked at: another process would change them.
  if (own && RunFolder::is_run(root)) start.folder.emplace(RunFolder::reopen(root));
  if (resume.empty()) {
    start.checkpoint = newest_checkpoint(root).value_or(fs::path());
  } else {
    start.checkpoint = find_checkpoint(from);
  }
  return start;
}

TrainConfig TrainCommand::read_config(Start const& start) const {
  if (!config.empty()) {
    const fs::path file = find_config(config, launch::shipped_configs());
    TrainConfig run = parse_config(read_config_file(file, overrides), file.string());
    if (!output.empty()) run.output = output;
    if (run.output.empty()) run.output = "runs/" + file.stem().string() + "-" + time_stamp();
    return run;
  }
  if (start.checkpoint.empty()) {
    if (!start.folder)
      throw Error(Exit::usage, "no --config and no command. See lomo-train --help.");
    throw Error(Exit::usage,
                "the run in " + output +
                    " has no checkpoint yet; give its --config too, to begin it again");
  }
  const std::string where = (start.checkpoint / "training_state.json").string();
  Json stored = read_training_state(start.checkpoint).config;
  apply_overrides(stored, overrides);
  TrainConfig run = parse_config(stored, where);
  if (!output.empty()) run.output = output;
  return run;
}

int TrainCommand::run(launch::Process const& process) const {
  Communicator& host = process.ranks.host();
  launch::say_on_stop("stopped before the first step: there is nothing to save");
  RunEnvironment setting = launch::run_environment(process);
  setting.trace = trace_request(trace, trace_steps);
  require_rank_consistency(
      host, {{"--trace", trace, Exit::usage}, {"--trace-steps", trace_steps, Exit::usage}});
  setting.ignore_disk_space = ignore_disk_space;
  setting.override_memory = override_memory;
  std::optional<Start> found;
  const std::string words = broadcast_from_root(host, [&] {
    found.emplace(find_start());
    return found->words();
  });
  if (!found) found.emplace(Start::follow(words));
  Start& start = *found;
  if (start.finished) {  // a job queue that types the command again is done
    log::info("the run in {} is finished", output);
    return static_cast<int>(Exit::done);
  }
  TrainConfig run = read_config(start);
  if (start.folder) {
    run.output = start.folder->root().string();
  } else if (!start.checkpoint.empty() && output.empty()) {
    throw Error(Exit::usage, "--resume " + resume +
                                 ": this checkpoint does not lie in a run folder; name the folder "
                                 "to write to with --output");
  }
  // Unless named, it has the time in its name: that of one clock.
  run.output = broadcast_from_root(host, [&] { return run.output; });
  if (const std::string note = launch::note_on_stopping(); !note.empty()) log::info("{}", note);
  const RunEnd end =
      run_training(std::move(run), start.checkpoint, std::move(start.folder), setting);
  switch (end) {
    case RunEnd::finished:
      return static_cast<int>(Exit::done);
    case RunEnd::stopped:
      return static_cast<int>(Exit::stopped);
    case RunEnd::diverged:
      return static_cast<int>(Exit::diverged);
  }
  return static_cast<int>(Exit::failure);
}

}  // namespace lomo::app
