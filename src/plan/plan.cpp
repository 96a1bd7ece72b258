#include "lomo/plan/plan.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/train/progress.h"
#include "lomo/train/trainer.h"

namespace lomo {

namespace {

/// The parts of a run that engine memory sees, built as run_training builds them.
struct Rehearsal {
  Rehearsal(TrainConfig const& config, ModelConfig const& shape, Engine const& engine)
      : backend(*engine) {
    measure_gemm_peak(backend, *config.model.dtype);
    model.emplace(backend, shape, *config.model.dtype, head_options(config), engine.ranks.get());
    trainer.emplace(*model, config,
                    Schedule(config.schedule.kind, config.optimizer.lr, 0, /*total=*/2));
    backend.ledger().restart();
  }

  /// A step as the first of a run, which is when everything is looked at.
  void step(Batch const& batch, NormMethod norms = NormMethod::cheapest) {
    trainer->restore(TrainerState{});
    trainer->measure_norms_by(norms);
    trainer->step(batch);
  }

  Backend& backend;
  std::optional<Llama> model;
  std::optional<Trainer> trainer;
};

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
std::vector<PlannedBlock> alive_at_peak(Trace const& trace, std::size_t peak) {
  std::map<std::size_t, Trace::Event const*> live;  // by offset
  std::size_t held = 0;
  for (Trace::Event const& event : trace.events()) {
    if (event.kind == Trace::Kind::op) continue;
    if (event.kind == Trace::Kind::freed) {
      live.erase(event.offset);
      held -= event.bytes;
      continue;
    }
    live.emplace(event.offset, &event);
    held += event.bytes;
    if (held == peak) break;
  }
  std::map<std::pair<Category, std::string>, PlannedBlock> kinds;
  for (auto const& [offset, event] : live) {
    const std::string name = kind_of(trace.name(event->name));
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

/// The batch that made the peak; null when there was none.
struct Peak {
  Batch const* batch = nullptr;
  bool training = false;
};

}  // namespace

PlannedWork planned_work(TrainConfig const& config, ModelConfig const& shape,
                         PlannedBatches const& batches, MakeEngine const& make_dry) {
  const Engine engine = make_dry();
  Rehearsal run(config, shape, engine);
  Ledger const& ledger = engine->ledger();
  for (Batch const& batch : batches.eval) {
    if (batch.loss_count() > 0) run.model->score(batch);
  }
  for (Batch const& batch : batches.train) run.step(batch);
  const double flops = ledger.flops();
  for (Batch const& batch : batches.train) run.step(batch, NormMethod::tiles);
  return {ledger.extent(), flops};
}

std::int64_t batches_of_run(TrainConfig const& config, Sampler const& sampler) {
  std::int64_t batches = 0;
  for (std::int64_t epoch = 0; epoch < config.train.epochs; ++epoch) {
    batches += sampler.batches_per_epoch(epoch);
  }
  return config.train.max_steps > 0 ? std::min(batches, config.train.max_steps) : batches;
}

Plan make_plan(TrainConfig const& config, ModelConfig const& shape, PlannedBatches const& batches,
               MakeEngine const& make_dry) {
  Plan plan;
  plan.parameters = shape.parameters();
  Peak peak;
  {
    const Engine engine = make_dry();
    Rehearsal run(config, shape, engine);
    Ledger& ledger = engine->ledger();
    plan.ranks = place_of(run.model->ranks()).ranks;
    plan.peak = ledger.peak();
    plan.at_peak = ledger.at_peak();
    plan.most = ledger.peak_by_category();
    const auto account = [&](Batch const& batch, bool training) {
      if (ledger.peak() > plan.peak) {
        plan.peak = ledger.peak();
        plan.at_peak = ledger.at_peak();
        peak = {&batch, training};
      }
      for (std::size_t c = 0; c < plan.most.size(); ++c) {
        plan.most[c] = std::max(plan.most[c], ledger.peak_by_category()[c]);
      }
      ledger.restart();
    };
    for (Batch const& batch : batches.eval) {
      if (batch.loss_count() == 0) continue;
      run.model->score(batch);
      account(batch, false);
    }
    for (Batch const& batch : batches.train) {
      run.step(batch);
      account(batch, true);
      run.step(batch, NormMethod::tiles);
      ledger.restart();
    }
    plan.slab = ledger.extent();
    const std::size_t element = size_of(*config.model.dtype);
    plan.final_model = static_cast<std::size_t>(plan.parameters) * element;
    plan.checkpoint = plan.final_model;
    for (StoredTensor const& state : run.trainer->rule().state()) {
      plan.checkpoint += state.whole_bytes();
    }
    // Weights pass in pieces of 2^20 elements or one row, as read and as converted.
    const auto piece = std::max<std::size_t>(
        std::size_t{1} << 20, static_cast<std::size_t>(std::max(shape.width, shape.ffn)));
    plan.transfer = piece * (element + sizeof(float));
  }

  // Again with names, and only what is asked about.
  const auto traced = [&](Batch const* batch, bool training, Trace& trace) {
    const Engine engine = make_dry();
    Ledger& ledger = engine->ledger();
    ledger.attach(&trace);
    Rehearsal run(config, shape, engine);
    const std::size_t begins = trace.events().size();
    if (batch != nullptr && training) run.step(*batch);
    if (batch != nullptr && !training) run.model->score(*batch);
    ledger.attach(nullptr);
    plan.flops = ledger.flops();
    plan.sent = plan.received = 0;
    for (auto const& [name, op] : ledger.ops()) {
      plan.sent += op.cost.sent;
      plan.received += op.cost.received;
    }
    return begins;
  };
  plan.phase = peak.batch == nullptr ? "start" : peak.training ? "training step" : "evaluation";
  if (peak.batch != nullptr) plan.batch = counts_of(*peak.batch);
  Trace at_peak;
  traced(peak.batch, peak.training, at_peak);
  plan.blocks = alive_at_peak(at_peak, plan.peak);
  const auto largest =
      std::max_element(batches.train.begin(), batches.train.end(),
                       [](Batch const& a, Batch const& b) { return counts_of(a) < counts_of(b); });
  if (largest == batches.train.end())
    throw Error(Exit::usage, "plan: there is no batch to train on");
  plan.step = counts_of(*largest);
  plan.step_begins = traced(&*largest, true, plan.trace);
  return plan;
}

}  // namespace lomo
