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
#include "lomo/plan/clip_plan.h"
#include "lomo/plan/report.h"
#include "setting.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

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
  subject.options(app);
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
  app.add_option("--profile", profile,
                 "expected time on this device only: rtx3090, rtx4090, a100, "
                 "h100, a profile file, or cpu: this machine, measured");
  app.add_flag("--json", json, "print the plan as JSON");
  app.add_option("--html", html, "write a picture of the memory over one step to this file");
  app.add_flag("--advise", advise, "say which batch fits, and what changes would save");
}

int PlanCommand::run(Common const& common) const {
  const Subject::Read read = subject.read(ranks);
  TrainConfig run = read.run;
  ModelConfig const& shape = read.shape;
  PlannedBatches const& batches = read.batches;
  PlanReport report;
  report.config = subject.config;
  report.batch_source = read.batch_source;

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
    write_file(html, plan_picture(report.plan, *run.model.dtype, report.devices.front(),
                                  subject.config, limit));
  }
  const std::string text = json ? report.json().dump(2) + "\n" : report.text();
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(report.verdict.fits() ? Exit::done : Exit::memory);
}

}  // namespace lomo::app
