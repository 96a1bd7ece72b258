#include "lomo/plan/report.h"

#include <algorithm>

#include "text.h"

namespace lomo {

namespace {

std::string recompute_of(TrainConfig const& config) {
  const Recompute recompute = config.train.recompute;
  if (recompute.blocks > 1)
    return format("of %lld blocks", static_cast<long long>(recompute.blocks));
  return recompute.on() ? "block" : "none";
}

std::string counts(BatchCounts const& c) {
  return format("%lld tokens (%lld with a target, %lld distinct) in %lld sequences",
                static_cast<long long>(c.tokens), static_cast<long long>(c.targets),
                static_cast<long long>(c.ids), static_cast<long long>(c.sequences));
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

/// GB/s that must pass each way between ranks for exchanges to hide behind that time.
double hiding_rate(Plan const& plan, double seconds) {
  return std::max(plan.sent, plan.received) / seconds / 1e9;
}

std::string time_line(Plan const& plan, TrainConfig const& settled, DeviceProfile const& device) {
  const ExpectedTime t = expected_time(plan, *settled.model.dtype, device);
  const bool compute = t.compute >= t.memory;
  std::string line = format(
      "  %-16s %9.3f s %9.0f tokens/s%s   %.0f%% of it bound by %s", device.name.c_str(), t.seconds,
      static_cast<double>(plan.step.tokens) / t.seconds, plan.ranks > 1 ? " a rank" : "",
      100 * std::max(t.compute, t.memory) / t.seconds, compute ? "compute" : "memory bandwidth");
  if (plan.ranks > 1) {
    line += format(", if ranks exchange %.1f GB/s or more", hiding_rate(plan, t.seconds));
  }
  return line + "\n";
}

constexpr std::size_t kBlocksShown = 12;

}  // namespace

std::string PlanReport::text() const {
  OptimizerSection const& o = settled.optimizer;
  std::string out = format("%s: %.3f G parameters in %s, %s, recompute %s\n", config.c_str(),
                           static_cast<double>(plan.parameters) / 1e9,
                           std::string(to_string(*settled.model.dtype)).c_str(),
                           std::string(to_string(o.name)).c_str(), recompute_of(settled).c_str());
  if (plan.ranks > 1) {
    out +=
        format("rank 0 of %d, with its share of the batch %s: ", plan.ranks, batch_source.c_str());
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
  out += format("\none step: %.4g Tflop\n", plan.flops / 1e12);
  if (plan.ranks > 1) {
    out += format("  sent to other ranks %s, received %s\n",
                  gib(static_cast<std::size_t>(plan.sent)).c_str(),
                  gib(static_cast<std::size_t>(plan.received)).c_str());
  }
  out += "time of that step, a model from peak rates, so no step can be faster:\n";
  for (DeviceProfile const& device : devices) out += time_line(plan, settled, device);
  if (largest_tokens >= 0) {
    out += format("\nadvice for %s\n", gib(verdict.memory).c_str());
    if (largest_tokens > 0) {
      out += format("  largest batch of such sequences that fits: %lld tokens%s\n",
                    static_cast<long long>(largest_tokens), plan.ranks > 1 ? " a rank" : "");
    } else {
      out += "  not even one sequence of this batch fits\n";
    }
    for (Advice const& a : advice) {
      const bool saves = a.slab <= plan.slab;
      const std::size_t by = saves ? plan.slab - a.slab : a.slab - plan.slab;
      out += format("  %-40s %s %12s, work %+.0f%%, %s\n", a.change.c_str(),
                    saves ? "saves" : "costs", gib(by).c_str(), 100 * (a.flops / plan.flops - 1),
                    a.fits ? "fits" : "does not fit");
    }
  }
  const bool fits = verdict.fits();
  const std::size_t margin =
      fits ? verdict.memory - verdict.needed : verdict.needed - verdict.memory;
  out += format("\n%s %s: %s and an allowance of %s %s, %s %s\n", fits ? "fits" : "does not fit",
                gib(verdict.memory).c_str(), gib(plan.slab).c_str(), gib(verdict.allowance).c_str(),
                "for everything else", gib(margin).c_str(), fits ? "to spare" : "too much");
  return out;
}

nlohmann::ordered_json PlanReport::json() const {
  using Out = nlohmann::ordered_json;
  Out out{{"config", config},
          {"parameters", plan.parameters},
          {"ranks", plan.ranks},
          {"dtype", to_string(*settled.model.dtype)},
          {"batch", {{"source", batch_source}, {"counts", counts_json(plan.step)}}},
          {"peak",
           {{"bytes", plan.peak},
            {"categories", categories_json(plan.at_peak)},
            {"phase", plan.phase},
            {"batch", counts_json(plan.batch)}}},
          {"most_of_each_category", categories_json(plan.most)},
          {"reserved_bytes", plan.slab}};
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
    const ExpectedTime t = expected_time(plan, *settled.model.dtype, device);
    times.push_back({{"device", device.name},
                     {"seconds", t.seconds},
                     {"compute_bound_seconds", t.compute},
                     {"memory_bound_seconds", t.memory},
                     {"tokens_per_second", static_cast<double>(plan.step.tokens) / t.seconds},
                     {"exchange_bytes_per_second_to_hide", 1e9 * hiding_rate(plan, t.seconds)}});
  }
  out["time_model"] = std::move(times);
  if (largest_tokens >= 0) {
    Out changes = Out::array();
    for (Advice const& a : advice) {
      changes.push_back({{"change", a.change},
                         {"reserved_bytes", a.slab},
                         {"step_flops", a.flops},
                         {"fits", a.fits}});
    }
    out["advice"] = {{"largest_batch_tokens", largest_tokens}, {"changes", std::move(changes)}};
  }
  out["verdict"] = {{"memory_bytes", verdict.memory},
                    {"allowance_bytes", verdict.allowance},
                    {"needed_bytes", verdict.needed},
                    {"fits", verdict.fits()}};
  return out;
}

std::string plan_line(Plan const& plan) {
  std::string parts;
  for (int c = 0; c < kCategories; ++c) {
    const std::size_t bytes = plan.at_peak[static_cast<std::size_t>(c)];
    if (bytes == 0) continue;
    parts += (parts.empty() ? "" : ", ") + std::string(to_string(static_cast<Category>(c))) + " " +
             gib(bytes);
  }
  return "plan: " + gib(plan.peak) + " at the peak, in the " + plan.phase + " (" + parts + "), " +
         gib(plan.slab) + " reserved";
}

}  // namespace lomo
