#include "lomo/plan/report.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "lomo/core/text.h"
#include "lomo/plan/step_time.h"
#include "lomo/train/progress.h"
#include "text.h"

namespace lomo {

namespace {

std::string recompute_of(TrainConfig const& config) {
  const Recompute recompute = config.train.recompute.value_or(Recompute::block);
  if (!recompute.on()) return "none";
  std::string text = recompute.blocks > 1 ? "of " + counted(recompute.blocks, "block") : "block";
  if (recompute.upper > 0) text += " but in the upper " + human_count(recompute.upper);
  return text;
}

std::string counts(BatchCounts const& c) {
  return counted(c.tokens, "token") + " (" + counted(c.targets, "target") + ", " +
         counted(c.ids, "distinct id") + ") in " + counted(c.sequences, "sequence");
}

nlohmann::ordered_json counts_json(BatchCounts const& c) {
  return {{"tokens", c.tokens},
          {"targets", c.targets},
          {"sequences", c.sequences},
          {"distinct_ids", c.ids}};
}

nlohmann::ordered_json categories_json(CategoryBytes const& bytes) {
  nlohmann::ordered_json out;
  for (int c = 0; c < kCategories; ++c) {
    out[std::string(to_string(static_cast<Category>(c)))] = bytes[static_cast<std::size_t>(c)];
  }
  return out;
}

/// Of all ranks together.
double tokens_per_second(Plan const& plan, ExpectedTime const& time) {
  return static_cast<double>(plan.step.tokens * plan.ranks) / time.seconds;
}

std::string time_line(Plan const& plan, TrainConfig const& resolved, DeviceProfile const& device) {
  const ExpectedTime t = expected_time(plan, *resolved.model.dtype, device);
  std::string line = format("  %-13s %9s %11s tokens/s  compute %s, memory %s", device.name.c_str(),
                            seconds_text(t.seconds).c_str(),
                            human_count(std::llround(tokens_per_second(plan, t))).c_str(),
                            seconds_text(t.compute).c_str(), seconds_text(t.memory).c_str());
  if (plan.ranks > 1 && device.link > 0) {
    line += format(", link %s at %.1f GB/s", seconds_text(t.link).c_str(), device.link / 1e9);
  } else if (plan.ranks > 1) {
    line += ", without exchanges: give --link";
  }
  return line + "\n";
}

constexpr std::size_t kBlocksShown = 12;

}  // namespace

std::string PlanReport::text() const {
  OptimizerOptions const& o = resolved.optimizer;
  std::string out = format("%s, %s: %s parameters in %s, %s, recompute %s\n", config.c_str(),
                           engine.c_str(), human_parameters(plan.parameters).c_str(),
                           std::string(to_string(*resolved.model.dtype)).c_str(),
                           std::string(to_string(o.kind)).c_str(), recompute_of(resolved).c_str());
  if (plan.ranks > 1) {
    out += by_rank.empty() ? format("each of %d ranks", plan.ranks)
                           : format("rank %d of %d, which needs most", plan.rank, plan.ranks);
    out += ", with its share of the batch " + batch_source + ": ";
  } else {
    out += "batch " + batch_source + ": ";
  }
  out += counts(plan.step) + "\n\n";
  out += format("  %-16s %12s\n", "", "at the peak");
  for (int c = 0; c < kCategories; ++c) {
    const std::size_t bytes = plan.at_peak[static_cast<std::size_t>(c)];
    if (bytes == 0) continue;
    out += format("  %-16s %12s\n", std::string(to_string(static_cast<Category>(c))).c_str(),
                  gib(bytes).c_str());
  }
  out += format("  %-16s %12s   in the %s\n", "peak", gib(plan.peak).c_str(), plan.phase.c_str());
  out += format("  %-16s %12s   gaps included: what the engine reserves\n", "reserved",
                gib(plan.slab).c_str());
  if (by_rank.size() > 1) {
    out += format("\n  %-16s %12s %12s\n", "", "peak", "reserved");
    for (std::size_t q = 0; q < by_rank.size(); ++q) {
      out += format("  %-16s %12s %12s\n", format("rank %zu", q).c_str(),
                    gib(by_rank[q].peak).c_str(), gib(by_rank[q].slab).c_str());
    }
  }
  out += "\nlargest at the peak\n";
  for (std::size_t i = 0; i < std::min(kBlocksShown, plan.blocks.size()); ++i) {
    PlannedBlock const& b = plan.blocks[i];
    out += format("  %12s  %-12s %s", gib(b.bytes).c_str(),
                  std::string(to_string(b.category)).c_str(), b.name.c_str());
    out += b.count > 1 ? format(" (%zu of them)\n", b.count) : "\n";
  }
  out += format(
      "\nhost memory for loading and saving %s; disk: final model %s, each checkpoint %s\n",
      gib(plan.transfer).c_str(), gib(plan.final_model).c_str(), gib(plan.checkpoint).c_str());
  out += "\none step: " + flops_text(plan.flops) + "\n";
  if (plan.ranks > 1) {
    out += format("  sent to other ranks %s, received %s\n",
                  gib(static_cast<std::size_t>(plan.sent)).c_str(),
                  gib(static_cast<std::size_t>(plan.received)).c_str());
  }
  out += "time of that step, estimated from peak rates; a real one takes longer:\n";
  for (DeviceProfile const& device : devices) out += time_line(plan, resolved, device);
  if (!slow_attention.empty()) out += "  " + slow_attention + "\n";
  if (largest_tokens >= 0) {
    out += format("\nadvice for %s\n", gib(verdict.memory).c_str());
    if (largest_tokens > 0) {
      out += format("  largest batch of such sequences that fits: %s%s\n",
                    counted(largest_tokens, "token").c_str(), plan.ranks > 1 ? " a rank" : "");
    } else {
      out += "  not even one sequence of this batch fits\n";
    }
    if (min_ranks > 0) {
      out += format("  fewest GPUs for all %s of a step: %d\n",
                    counted(plan.step.tokens * plan.ranks, "token").c_str(), min_ranks);
    } else {
      out += "  no number of GPUs makes this batch fit\n";
    }
    for (Advice const& a : advice) {
      out += format("  %-40s %s %12s, work %+.0f%%, %s\n", a.change.c_str(),
                    a.saved >= 0 ? "saves" : "costs",
                    gib(static_cast<std::size_t>(std::abs(a.saved))).c_str(), 100 * (a.work - 1),
                    a.fits ? "fits" : "does not fit");
    }
  }
  const bool fits = verdict.fits();
  const std::size_t margin =
      fits ? verdict.memory - verdict.needed : verdict.needed - verdict.memory;
  out += format("\n%s %s: %s and headroom of %s %s, %s %s\n", fits ? "fits" : "does not fit",
                gib(verdict.memory).c_str(), gib(plan.slab).c_str(), gib(verdict.headroom).c_str(),
                "for everything else", gib(margin).c_str(), fits ? "to spare" : "too much");
  return out;
}

nlohmann::ordered_json PlanReport::json() const {
  using Out = nlohmann::ordered_json;
  Out out{{"config", config},
          {"engine", engine},
          {"parameters", plan.parameters},
          {"ranks", plan.ranks},
          {"dtype", to_string(*resolved.model.dtype)},
          {"batch", {{"source", batch_source}, {"counts", counts_json(plan.step)}}},
          {"peak",
           {{"bytes", plan.peak},
            {"categories", categories_json(plan.at_peak)},
            {"phase", plan.phase},
            {"batch", counts_json(plan.batch)}}},
          {"most_of_each_category", categories_json(plan.maximum)},
          {"reserved_bytes", plan.slab}};
  Out ranks = Out::array();
  for (MemoryUse const& rank : by_rank) {
    ranks.push_back({{"peak_bytes", rank.peak},
                     {"categories", categories_json(rank.at_peak)},
                     {"reserved_bytes", rank.slab}});
  }
  if (!ranks.empty()) out["by_rank"] = std::move(ranks);
  Out blocks = Out::array();
  for (PlannedBlock const& b : plan.blocks) {
    blocks.push_back({{"name", b.name},
                      {"category", to_string(b.category)},
                      {"count", b.count},
                      {"bytes", b.bytes}});
  }
  out["alive_at_peak"] = std::move(blocks);
  out["host_transfer_bytes"] = plan.transfer;
  out["disk"] = {{"final_model_bytes", plan.final_model}, {"checkpoint_bytes", plan.checkpoint}};
  out["step_flops"] = plan.flops;
  out["step_exchange"] = {{"sent_bytes", plan.sent}, {"received_bytes", plan.received}};
  Out times = Out::array();
  for (DeviceProfile const& device : devices) {
    const ExpectedTime t = expected_time(plan, *resolved.model.dtype, device);
    times.push_back({{"device", device.name},
                     {"seconds", t.seconds},
                     {"bound_by", t.bound()},
                     {"compute_seconds", t.compute},
                     {"memory_seconds", t.memory},
                     {"link_seconds", t.link},
                     {"link_bytes_per_second", device.link},
                     {"tokens_per_second", tokens_per_second(plan, t)}});
  }
  out["time_model"] = std::move(times);
  if (!slow_attention.empty()) out["slow_attention"] = slow_attention;
  if (largest_tokens >= 0) {
    Out changes = Out::array();
    for (Advice const& a : advice) {
      changes.push_back({{"change", a.change},
                         {"reserved_bytes", a.slab},
                         {"saved_bytes", a.saved},
                         {"work_ratio", a.work},
                         {"fits", a.fits}});
    }
    out["advice"] = {{"largest_batch_tokens", largest_tokens},
                     {"fewest_ranks", min_ranks > 0 ? Out(min_ranks) : Out()},
                     {"changes", std::move(changes)}};
  }
  out["fit"] = {{"memory_bytes", verdict.memory},
                {"allowance_bytes", verdict.headroom},
                {"needed_bytes", verdict.needed},
                {"fits", verdict.fits()}};
  return out;
}

namespace {

std::string plan_line(MemoryUse const& held, std::string const& when) {
  return "plan: " + human_bytes(held.peak) + " at the peak" + when + " (" +
         format_memory(held.at_peak) + "), " + human_bytes(held.slab) + " reserved";
}

}  // namespace

std::string plan_line(MemoryUse const& held) {
  return plan_line(held, "");
}

std::string plan_line(Plan const& plan) {
  return plan_line({plan.peak, plan.at_peak, plan.slab}, ", in the " + plan.phase);
}

}  // namespace lomo
