#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "commands.h"
#include "lomo/backend/process_group.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/cuda/attention_rate.h"
#include "lomo/io/files.h"
#include "lomo/launch/engines.h"
#include "lomo/launch/run_environment.h"
#include "lomo/plan/kept.h"
#include "lomo/plan/report.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

/// A profile file, or the name of a shipped one.
DeviceProfile find_profile(std::string const& name) {
  std::vector<fs::path> folders;
  for (fs::path const& folder : launch::shipped_configs()) folders.push_back(folder / "devices");
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

/// Plans every rank with its own batches; what is shown is the one that needs most. Ranks are
/// threads that meet where a run's ranks do: they choose together what depends on the largest.
void plan_each(PlanReport& report, PlanTarget::Read const& read, EngineOptions const& options) {
  std::vector<Plan> plans(read.batches.size());
  dry_run_on_ranks(static_cast<int>(plans.size()), [&](Communicator& host) {
    const MakeEngine make_dry = [&] {
      Engine engine(make_dry_backend(options));
      engine.connection = make_dry_communicator(*engine, host);
      return engine;
    };
    const auto self = static_cast<std::size_t>(host.rank());
    TrainConfig config = read.run;
    resolve_kept(config, read.shape, read.batches[self], make_dry);
    plans[self] = plan_memory(config, read.shape, read.batches[self], make_dry);
    const auto slabs = host.all_gather_host(plans[self].slab);
    const bool shown = std::ranges::max_element(slabs) - slabs.begin() == host.rank();
    plan_step(plans[self], config, read.shape, read.batches[self], make_dry, shown);
    if (shown) report.resolved = config;
  });
  for (Plan const& plan : plans) report.by_rank.push_back({plan.peak, plan.at_peak, plan.slab});
  report.plan = std::move(*std::ranges::max_element(plans, {}, &Plan::slab));
}

}  // namespace

void PlanCommand::options(CLI::App& app) {
  subject.options(app);
  app.add_option("--memory", memory,
                 "of the device, as in 24GiB; default: the config's budget, the profile's, "
                 "else what this machine has free");
  app.add_option("--headroom", headroom,
                 "of it for all that is not engine memory: context, "
                 "libraries, data")
      ->capture_default_str();
  app.add_option("--ranks", ranks,
                 "plan for so many ranks, among whom the model and each batch are shared out")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--profile", profile,
                 "expected time on this device only: rtx3090, rtx4090, a100, "
                 "h100, a profile file, or cpu: this machine, measured");
  app.add_option("--link", link, "GB/s each way between GPUs, in place of the profile's")
      ->check(CLI::Range(1e-3, 1e6));
  app.add_flag("--json", json, "print the plan as JSON");
  app.add_option("--html", html, "write a picture of the memory over one step to this file");
  app.add_flag("--advise", advise, "say which batch fits, and what changes would save");
}

/// Whether the plan is for another device than this machine has: nobody names the one here, and
/// something says how large or which it is.
bool PlanCommand::elsewhere(launch::Process const& process) const {
  if (process.device != "auto") return process.device == "cuda";
  return !process.threads_given && (!memory.empty() || names_gpu());
}

std::vector<DeviceProfile> PlanCommand::devices(OpenEngines const& engines, DType type,
                                                std::int64_t head_width) const {
  std::vector<DeviceProfile> devices;
  if (profile.empty()) {
    devices = shipped_profiles();
  } else if (names_gpu()) {
    devices.push_back(find_profile(profile));
  } else {
    const auto engine = engines().make(std::size_t{1} << 30);
    devices.push_back(measure_device(*engine, type));
  }
  const bool gpus = profile.empty() || names_gpu();
  for (DeviceProfile& device : devices) {
    if (link > 0) device.link = link * 1e9;
    if (gpus && !cuda::has_tiled_attention(head_width, type)) {
      device.attention = device.f32 * cuda::simple_attention_share(head_width);
    }
  }
  return devices;
}

Fit PlanCommand::verdict(OpenEngines const& engines, PlanReport const& report) const {
  Fit verdict;
  verdict.headroom = launch::bytes_option("--headroom", headroom);
  if (!memory.empty()) {
    verdict.memory = launch::bytes_option("--memory", memory);
  } else if (report.resolved.memory.budget > 0) {  // of the engine alone
    verdict.memory = report.resolved.memory.budget;
    verdict.headroom = 0;
  } else if (names_gpu() && report.devices.front().memory > 0) {
    verdict.memory = report.devices.front().memory;
  } else {
    verdict.memory = engines().available_memory();
  }
  verdict.needed = report.plan.slab + verdict.headroom;
  return verdict;
}

int PlanCommand::run(launch::Process const& process) const {
  const PlanTarget::Read read = subject.read(ranks);
  PlanReport report;
  report.config = subject.config;
  report.batch_source = read.batch_source;
  report.resolved = read.run;
  std::optional<launch::Engines> opened;
  const OpenEngines engines = [&]() -> launch::Engines const& {
    if (!opened) opened.emplace(process);
    return *opened;
  };
  const EngineOptions options{.threads = process.threads,
                              .accounting = elsewhere(process) ? Device::cuda : engines().device()};
  const MakeRank make_rank = [&](int rank, int of) {
    Engine engine(make_dry_backend(options));
    if (of > 1) engine.connection = make_dry_communicator(*engine, rank, of);
    return engine;
  };
  // Rank 0, which owns no fewer rows than any.
  const MakeEngine make_dry = [&] { return make_rank(0, ranks); };
  report.engine = make_dry()->describe();
  const DType type = *read.run.model.dtype;
  report.devices = devices(engines, type, read.shape.head_width);
  if (profile != "cpu") report.slow_attention = cuda::slow_attention(read.shape.head_width, type);
  if (read.batches.size() == 1) {
    PlannedBatches const& batches = read.batches.front();
    resolve_kept(report.resolved, read.shape, batches, make_dry);
    report.plan = make_plan(report.resolved, read.shape, batches, make_dry);
    if (ranks == 1) report.by_rank = {{report.plan.peak, report.plan.at_peak, report.plan.slab}};
  } else {
    plan_each(report, read, options);
  }
  report.verdict = verdict(engines, report);
  if (advise) {
    const auto rank = read.batches.size() == 1 ? 0 : static_cast<std::size_t>(report.plan.rank);
    lomo::advise(report, read.shape, read.batches[rank], make_rank);
  }
  if (!html.empty()) {
    const std::size_t limit =
        report.verdict.memory - std::min(report.verdict.memory, report.verdict.headroom);
    write_file(html, plan_picture(report.plan, *report.resolved.model.dtype, report.devices.front(),
                                  subject.config, limit));
  }
  console::print(json ? report.json().dump(2) + "\n" : report.text());
  return static_cast<int>(report.verdict.fits() ? Exit::done : Exit::memory);
}

}  // namespace lomo::app
