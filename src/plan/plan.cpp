#include "lomo/plan/plan.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/train/trainer.h"

namespace lomo {

namespace {

/// A run on an engine that computes nothing.
class DryRun {
 public:
  DryRun(TrainConfig const& config, ModelConfig const& shape, Engine engine)
      : runtime_(std::move(engine), config, shape, Runtime::Probe::gemm_peak) {
    runtime_.start_training(Schedule(config.schedule.kind, config.optimizer.lr, 0, /*total=*/2));
    runtime_.ledger().restart();
  }

  Runtime& runtime() { return runtime_; }
  Ledger& ledger() { return runtime_.ledger(); }

  /// A step as the first of a run, which is when everything is looked at.
  void step(ShardedBatch const& batch, NormMethod norms = NormMethod::cheapest) {
    Trainer& trainer = runtime_.trainer();
    trainer.restore(TrainerState{});
    trainer.find_norms_by(norms);
    trainer.step(batch);
  }

  /// Batches come first, then texts that are written.
  void evaluate(PlannedBatches const& batches, std::size_t index) {
    if (index < batches.eval.size()) {
      runtime_.model().score(batches.eval[index]);
    } else {
      rehearse_generation(runtime_.model(), batches.generations[index - batches.eval.size()]);
    }
  }

 private:
  Runtime runtime_;
};

std::size_t evaluations(PlannedBatches const& batches) {
  return batches.eval.size() + batches.generations.size();
}

BatchCounts evaluated(PlannedBatches const& batches, std::size_t index) {
  if (index < batches.eval.size()) return counts_of(batches.eval[index].mine);
  const std::int64_t prompt = batches.generations[index - batches.eval.size()].prompt;
  return {prompt, /*targets=*/1, /*sequences=*/1, prompt};
}

/// "model.layers.*.mlp.down_proj.weight": one name for the same tensor of every block.
std::string kind_of(std::string name) {
  constexpr std::string_view kLayers = "layers.";
  const std::size_t at = name.find(kLayers);
  if (at == std::string::npos) return name;
  const std::size_t begin = at + kLayers.size();
  std::size_t end = begin;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  return name.replace(begin, end - begin, "*");
}

/// What was alive when the sum was largest for the first time, by name, largest first.
std::vector<PlannedBlock> alive_at_peak(EventLog const& log, std::size_t peak) {
  std::map<std::size_t, EventLog::Event const*> live;  // by offset
  std::size_t held = 0;
  for (EventLog::Event const& event : log.events()) {
    if (event.kind == EventLog::Kind::freed) {
      live.erase(event.offset);
      held -= event.bytes;
      continue;
    }
    if (event.kind != EventLog::Kind::allocated) continue;
    live.emplace(event.offset, &event);
    held += event.bytes;
    if (held == peak) break;
  }
  std::map<std::pair<Category, std::string>, PlannedBlock> kinds;
  for (auto const& [offset, event] : live) {
    const std::string name = kind_of(std::string(event->name));
    PlannedBlock& block = kinds[{event->category, name}];
    block.name = name;
    block.category = event->category;
    block.count += 1;
    block.bytes += event->bytes;
  }
  std::vector<PlannedBlock> blocks;
  for (auto& [key, block] : kinds) blocks.push_back(std::move(block));
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](auto const& a, auto const& b) { return a.bytes > b.bytes; });
  return blocks;
}

constexpr char const* kStep = "training step";
constexpr char const* kEvaluation = "evaluation";

/// One batch of a plan, the same on all ranks.
struct Chosen {
  std::int64_t index = -1;  // among those of the phase; -1: none, the start alone
  bool training = false;
  auto operator<=>(Chosen const&) const = default;
};

/// Runs one batch on a new engine and notes in `log`, unless it is null, all that it does.
/// Returns the accounting.
Ledger run_noted(Chosen chosen, TrainConfig const& config, ModelConfig const& shape,
                 PlannedBatches const& batches, MakeEngine const& make_dry, EventLog* log,
                 std::size_t* step_begins = nullptr) {
  Engine engine = make_dry();
  engine->set_event_log(log);
  DryRun run(config, shape, std::move(engine));
  if (step_begins != nullptr && log != nullptr) *step_begins = log->events().size();
  if (chosen.index >= 0) {
    const auto at = static_cast<std::size_t>(chosen.index);
    chosen.training ? run.step(batches.train[at]) : run.evaluate(batches, at);
  }
  run.runtime().backend().set_event_log(nullptr);
  return run.ledger();
}

/// The training batch with the most tokens, on all ranks together.
Chosen largest(PlannedBatches const& batches) {
  Chosen chosen{-1, true};
  std::int64_t maximum = -1;
  for (std::size_t i = 0; i < batches.train.size(); ++i) {
    const std::int64_t tokens = batches.train[i].tokens();
    if (tokens > maximum) chosen.index = static_cast<std::int64_t>(i);
    maximum = std::max(maximum, tokens);
  }
  if (chosen.index < 0) throw Error(Exit::usage, "plan: there is no batch to train on");
  return chosen;
}

}  // namespace

PlannedWork planned_work(TrainConfig const& config, ModelConfig const& shape,
                         PlannedBatches const& batches, MakeEngine const& make_dry) {
  DryRun run(config, shape, make_dry());
  Ledger const& ledger = run.ledger();
  Activity activity("planning memory",
                    static_cast<double>(evaluations(batches) + 2 * batches.train.size()));
  for (std::size_t i = 0; i < evaluations(batches); ++i) {
    run.evaluate(batches, i);
    activity.advance();
  }
  const auto train = [&](NormMethod method) {
    for (ShardedBatch const& batch : batches.train) {
      run.step(batch, method);
      activity.advance();
    }
  };
  train(NormMethod::cheapest);
  const double flops = ledger.flops();
  train(NormMethod::tiles);
  return {std::ranges::max(run.runtime().engine().ranks().all_gather_host(ledger.extent())), flops};
}

Plan plan_memory(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
                 MakeEngine const& make_dry) {
  Plan plan;
  plan.parameters = shape.parameters();
  DryRun run(config, shape, make_dry());
  Ledger& ledger = run.ledger();
  const RankInfo info = rank_info(run.runtime().model().ranks());
  plan.rank = info.rank;
  plan.ranks = info.ranks;
  plan.peak = ledger.peak();
  plan.at_peak = ledger.at_peak();
  plan.maximum = ledger.peak_by_category();
  Activity activity("planning memory",
                    static_cast<double>(evaluations(batches) + batches.train.size()));
  const auto account = [&](BatchCounts const& counts, std::size_t index, char const* phase) {
    activity.advance();
    if (ledger.peak() > plan.peak) {
      plan.peak = ledger.peak();
      plan.at_peak = ledger.at_peak();
      plan.phase = phase;
      plan.batch = counts;
      plan.peak_batch = static_cast<std::int64_t>(index);
    }
    for (std::size_t c = 0; c < plan.maximum.size(); ++c) {
      plan.maximum[c] = std::max(plan.maximum[c], ledger.peak_by_category()[c]);
    }
    ledger.restart();
  };
  for (std::size_t i = 0; i < evaluations(batches); ++i) {
    run.evaluate(batches, i);
    account(evaluated(batches, i), i, kEvaluation);
  }
  for (std::size_t i = 0; i < batches.train.size(); ++i) {
    run.step(batches.train[i]);
    account(counts_of(batches.train[i].mine), i, kStep);
    run.step(batches.train[i], NormMethod::tiles);
    ledger.restart();
  }
  plan.slab = ledger.extent();
  const std::size_t element = size_of(*config.model.dtype);
  plan.final_model = static_cast<std::size_t>(plan.parameters) * element;
  plan.checkpoint = plan.final_model;
  for (StoredTensor const& state : run.runtime().trainer().rule().state()) {
    plan.checkpoint += state.whole_bytes();
  }
  // Weights pass in pieces of 2^20 elements or one row, as read and as converted.
  const auto piece = std::max<std::size_t>(
      std::size_t{1} << 20, static_cast<std::size_t>(std::max(shape.width, shape.ffn)));
  plan.transfer = piece * (element + sizeof(float));
  return plan;
}

void plan_step(Plan& plan, TrainConfig const& config, ModelConfig const& shape,
               PlannedBatches const& batches, MakeEngine const& make_dry, bool note) {
  // Ranks may have their peaks with different batches; each is run by all.
  const Chosen mine{plan.peak_batch, plan.phase == kStep};
  const auto peaks = make_dry().ranks().all_gather_host(mine);
  for (Chosen const& peak : std::set<Chosen>(peaks.begin(), peaks.end())) {
    EventLog log;
    const bool noted = note && peak == mine;
    run_noted(peak, config, shape, batches, make_dry, noted ? &log : nullptr);
    if (noted) plan.blocks = alive_at_peak(log, plan.peak);
  }
  const Chosen step = largest(batches);
  plan.step = counts_of(batches.train[static_cast<std::size_t>(step.index)].mine);
  const Ledger accounting = run_noted(step, config, shape, batches, make_dry,
                                      note ? &plan.log : nullptr, &plan.step_begins);
  plan.flops = accounting.flops();
  for (auto const& [name, op] : accounting.ops()) {
    plan.sent += op.cost.sent;
    plan.received += op.cost.received;
  }
}

Plan make_plan(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
               MakeEngine const& make_dry) {
  Plan plan = plan_memory(config, shape, batches, make_dry);
  plan_step(plan, config, shape, batches, make_dry);
  return plan;
}

}  // namespace lomo
