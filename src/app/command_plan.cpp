#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "commands.h"
#include "engines.h"
#include "lomo/backend/ranks.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/files.h"
#include "lomo/model/checkpoint.h"
#include "lomo/train/clip_plan.h"
#include "lomo/train/plan_report.h"
#include "setting.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

std::size_t bytes_option(std::string const& option, std::string const& text) {
  if (const auto bytes = parse_bytes(text)) return *bytes;
  throw Error(Exit::usage, option + " " + text + ": expected a size such as 24GiB");
}

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
  return data.task == "ids" || there(config.model.path + "/tokenizer.model");
}

/// A profile file, or the name of a shipped one.
DeviceProfile find_profile(std::string const& name) {
  std::vector<fs::path> folders;
  for (fs::path const& folder : shipped_configs()) folders.push_back(folder / "devices");
  fs::path file;
  try {
    file = find_config(name, folders);
  } catch (Error const&) {
    throw Error(Exit::usage, "--profile " + name +
                                 ": no such device is shipped (rtx3090, rtx4090, a100, h100; cpu "
                                 "measures this machine) and no such file is here");
  }
  return read_device_profile(file);
}

std::vector<DeviceProfile> shipped_profiles() {
  std::vector<DeviceProfile> profiles;
  for (char const* name : {"rtx3090", "rtx4090", "a100", "h100"}) {
    profiles.push_back(find_profile(name));
  }
  return profiles;
}

}  // namespace

void PlanCommand::options(CLI::App& app) {
  app.add_option("--config", config, "the run, a JSON file or the name of a shipped config")
      ->required();
  app.add_option("--set", overrides, "change one key of it")->allow_extra_args(false);
  app.add_option("--memory", memory,
                 "of the device, as in 24GiB; default: the config's budget, "
                 "else what this machine has free");
  app.add_option("--allowance", allowance,
                 "of it for all that is not engine memory: context, "
                 "libraries, data")
      ->capture_default_str();
  app.add_option("--ranks", ranks,
                 "plan rank 0 of so many, among whom the model and each batch are shared out")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  const auto positive = CLI::Range(std::int64_t{1}, std::int64_t{1} << 31);
  app.add_option("--tokens", tokens, "plan a batch of so many tokens, whatever the data")
      ->check(positive);
  app.add_option("--sequences", sequences, "its sequences; default: of data.max_length")
      ->check(positive);
  app.add_option("--targets", targets, "its tokens with a target; default: all")->check(positive);
  app.add_option("--profile", profile,
                 "expected time on this device only: rtx3090, rtx4090, a100, "
                 "h100, a profile file, or cpu: this machine, measured");
  app.add_flag("--json", json, "print the plan as JSON");
  app.add_option("--html", html, "write a picture of the memory over one step to this file");
  app.add_flag("--advise", advise, "say which batch fits, and what changes would save");
}

int PlanCommand::run(Common const& common) const {
  const fs::path file = find_config(config, shipped_configs());
  TrainConfig run = parse_config(read_config_file(file, overrides), file.string());
  const ModelConfig shape = model_shape(run, file.string());
  settle(run, shape);

  PlanReport report;
  report.config = config;
  PlannedBatches batches;
  if (tokens > 0) {
    BatchCounts counts;
    counts.tokens = tokens;
    counts.targets = targets > 0 ? targets : tokens;
    counts.sequences =
        sequences > 0 ? sequences : (tokens + run.data.max_length - 1) / run.data.max_length;
    counts.ids = std::min(tokens, shape.vocab);
    batches.train.push_back(batch_with(share_of(counts, ranks)));
    report.batch_source = "as given";
  } else if (sequences > 0 || targets > 0) {
    throw Error(Exit::usage, "--sequences and --targets go with --tokens");
  } else if (all_there(run)) {
    const auto tokenizer = open_tokenizer(run.model.path, run.data.task);
    const Inputs inputs = load_inputs(run, tokenizer.get(), shipped_prompts(), {});
    check_ids(inputs.train, shape.vocab);
    check_ids(inputs.eval.data, shape.vocab);
    const Sampler sampler(inputs.train, run.batch.sequences, run.batch.max_tokens, run.train.seed);
    batches = planned_batches(run, inputs, sampler, batches_of_run(run, sampler), ranks);
    report.batch_source = "of the data, the largest";
  } else {
    batches = planned_batches(run, shape, ranks);
    report.batch_source = "the largest that the config allows (the data are not here)";
  }

  // A plan for a GPU needs none.
  std::optional<Engines> engines;
  if (common.device != "cuda") engines.emplace(common);
  const Device books = engines ? engines->device() : Device::cuda;
  const MakeEngine make_dry = [&] {
    Engine engine(make_dry_backend({.threads = common.threads, .books = books}));
    if (ranks > 1) engine.ranks = make_dry_communicator(*engine.backend, 0, ranks);
    return engine;
  };
  settle_clip(run, shape, batches, make_dry);
  report.plan = make_plan(run, shape, batches, make_dry);
  report.settled = run;
  report.verdict.allowance = bytes_option("--allowance", allowance);
  if (!memory.empty()) {
    report.verdict.memory = bytes_option("--memory", memory);
  } else if (run.memory.budget > 0) {  // of the engine alone
    report.verdict.memory = run.memory.budget;
    report.verdict.allowance = 0;
  } else {
    if (!engines) engines.emplace(common);
    report.verdict.memory = engines->available_memory();
  }
  report.verdict.needed = report.plan.slab + report.verdict.allowance;
  if (profile.empty()) {
    report.devices = shipped_profiles();
  } else if (profile == "cpu") {
    const auto engine = make_engine(common, std::size_t{1} << 30);
    report.devices.push_back(measure_device(*engine, *run.model.dtype));
  } else {
    report.devices.push_back(find_profile(profile));
  }
  if (advise) lomo::advise(report, shape, batches, make_dry);
  if (!html.empty()) {
    Verdict const& verdict = report.verdict;
    const std::size_t limit = verdict.memory - std::min(verdict.memory, verdict.allowance);
    write_file(html,
               plan_picture(report.plan, *run.model.dtype, report.devices.front(), config, limit));
  }
  const std::string text = json ? report.json().dump(2) + "\n" : report.text();
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(report.verdict.fits() ? Exit::done : Exit::memory);
}

}  // namespace lomo::app
