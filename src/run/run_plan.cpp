#include "run_plan.h"

#include <algorithm>
#include <string>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/cuda/attention_rate.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/plan/kept.h"
#include "lomo/plan/report.h"
#include "rank_memory.h"

namespace lomo {

std::size_t plan_run(PreparedRun& given, RunEnvironment const& setting) {
  TrainConfig& config = given.config;
  Communicator& host = setting.ranks.host();
  const std::int64_t to_come = std::max<std::int64_t>(given.total - given.state.batches, 1);
  const PlannedBatches batches =
      drawn_batches(config, given.shape, given.inputs, *given.sampler, to_come, host.size())
          .of_rank(host.rank(), host.size());
  resolve_kept(config, given.shape, batches, setting.make_dry);
  const Plan plan = plan_memory(config, given.shape, batches, setting.make_dry);
  // The start says all it has to say in eight lines at most.
  std::string more;
  if (host.size() > 1) more = "; by rank " + list_of_bytes(host.all_gather_host(plan.peak));
  if (*config.clip.kept_blocks > 0) {
    more += "; clipping without a second backward pass in " +
            human_count(*config.clip.kept_blocks) + " of " + counted(given.shape.layers, "block");
  }
  if (const std::int64_t upper = config.train.recompute->upper; upper > 0) {
    more += "; " + human_count(upper) + " blocks not recomputed";
  }
  log::info("{}{}", plan_line(plan), more);
  if (setting.device == Device::cuda) {
    const std::string slow = cuda::slow_attention(given.shape.head_width, *config.model.dtype);
    if (!slow.empty() && is_root(host)) log::warn("{}", slow);
  }
  try {
    require_memory("the run", plan.slab, setting.available_memory(), config.memory.budget,
                   "See what would save some: " + setting.program +
                       " plan --advise --config ...; or start anyway with --override-memory");
  } catch (Error const& lacking) {
    if (!setting.override_memory) throw;
    log::warn("{}", lacking.what());
  }
  return plan.slab;
}

}  // namespace lomo
