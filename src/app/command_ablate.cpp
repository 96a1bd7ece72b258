#include <algorithm>
#include <cmath>
#include <utility>

#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/launch/engines.h"
#include "lomo/launch/run_environment.h"
#include "lomo/plan/ablation.h"

namespace lomo::app {

void AblateCommand::options(CLI::App& app) {
  subject.options(app);
  app.add_option("--memory", memory,
                 "run what needs no more, plan the rest; default: the config's budget, else what "
                 "this machine has free");
  app.add_option("--steps", steps, "timed steps of each, after a first one; 0: plan only")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_flag("--json", json, "print the table as JSON");
}

int AblateCommand::run(launch::Process const& process) const {
  const PlanTarget::Read read = subject.read();
  std::vector<ShardedBatch> const& batches = read.batches.front().train;
  if (batches.empty()) throw Error(Exit::usage, "ablate: there is no batch to train on");
  Batch const& batch = std::ranges::max_element(batches, {}, [](ShardedBatch const& b) {
                         return counts_of(b.mine);
                       })->mine;
  const std::size_t budget = read.run.memory.budget;
  const launch::Engines engines(process);

  AblationReport report;
  report.config = subject.config;
  report.shape = read.shape;
  report.dtype = *read.run.model.dtype;
  report.batch = counts_of(batch);
  report.memory = !memory.empty() ? launch::bytes_option("--memory", memory)
                  : budget > 0    ? budget
                                  : engines.available_memory();
  const MakeEngine make_dry = [&] {
    return make_dry_backend({.threads = process.threads, .accounting = engines.device()});
  };
  const auto cases = ablation_cases(read.run, read.shape);
  for (AblationCase const& what : cases) {
    AblationRow row = plan_case(what, read.shape, batch, make_dry);
    if (steps > 0 && row.slab <= report.memory) {
      auto engine = engines.make(row.slab);
      row = measure_case(std::move(row), read.shape, batch, std::move(engine), steps);
      log::info("{} of {}, {}: {}, {} tokens/s", report.rows.size() + 1, cases.size(), what.method,
                human_bytes(row.peak), human_count(std::llround(row.tokens_per_second)));
    }
    report.rows.push_back(std::move(row));
  }
  console::print(json ? report.json().dump(2) + "\n" : report.text());
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app
