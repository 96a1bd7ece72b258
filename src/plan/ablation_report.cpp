#include <algorithm>
#include <cmath>

#include "lomo/core/text.h"
#include "lomo/plan/ablation.h"
#include "text.h"

namespace lomo {

namespace {

bool recomputes(AblationRow const& row) {
  return row.what.run.train.recompute == Recompute::block;
}
bool keeps_logits(AblationRow const& row) {
  return row.what.run.memory.keep_logits_bytes > 0;
}

char const* head(AblationRow const& row) {
  return keeps_logits(row) ? "logits" : "blocks";
}
char const* recompute(AblationRow const& row) {
  if (!row.what.trains) return "";
  return recomputes(row) ? "block" : "none";
}
std::string method(AblationRow const& row) {
  return row.what.keeps_factors ? row.what.method + ", factors kept" : row.what.method;
}

struct Unit {
  char const* name;
  double bytes;
};

std::size_t of(AblationRow const& row, Category category) {
  return row.at_peak[static_cast<std::size_t>(category)];
}

/// From AdamW to inference, one part of the method at a time.
std::string ladder(std::vector<AblationRow> const& rows, std::size_t inference, Unit unit) {
  struct Rung {
    char const* what;
    char const* method;
    bool recomputes, logits;
  };
  std::string out = "\nwhat each part saves, one after the other\n\n";
  std::size_t before = 0;
  for (const Rung rung :
       {Rung{"AdamW", "AdamW", false, true}, Rung{"no optimizer state: SGD", "SGD", false, true},
        Rung{"one gradient at a time: LOMO", "LOMO, by tensor", false, true},
        Rung{"one tile of it at a time", "LOMO, by tile", false, true},
        Rung{"blocks recomputed", "LOMO, by tile", true, true},
        Rung{"no logits", "LOMO, by tile", true, false}}) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](AblationRow const& r) {
      return r.what.method == rung.method && !r.what.keeps_factors &&
             recomputes(r) == rung.recomputes && keeps_logits(r) == rung.logits;
    });
    if (row == rows.end()) continue;
    const auto peak = static_cast<double>(row->peak);
    out += format("  %-32s %10.2f %s", rung.what, peak / unit.bytes, unit.name);
    if (before > 0) out += format("  %+10.2f", (peak - static_cast<double>(before)) / unit.bytes);
    out += "\n";
    before = row->peak;
  }
  out += format("  %-32s %10.2f %s, training over inference: %.2f\n", "inference",
                static_cast<double>(inference) / unit.bytes, unit.name,
                static_cast<double>(before) / static_cast<double>(inference));
  return out;
}

}  // namespace

std::string AblationReport::text() const {
  std::string out =
      format("%s: %s parameters in %s, one step of %s (%s) in %s\n", config.c_str(),
             human_parameters(shape.parameters()).c_str(), std::string(to_string(dtype)).c_str(),
             counted(batch.tokens, "token").c_str(), counted(batch.targets, "target").c_str(),
             counted(batch.sequences, "sequence").c_str());
  if (rows.empty()) return out;
  const std::size_t inference = rows.front().peak;
  const auto whole = static_cast<double>(inference);
  const Unit unit = whole >= kGib ? Unit{"GiB", kGib} : Unit{"MiB", kMib};
  out += format(
      "%s at the peak of the step; gradients ever: the most they took at any moment\n\n"
      "| %-27s | recompute | head   | weights | gradients | optimizer | activations | workspace "
      "| peak    | of inference | gradients ever | Tflop  | tokens/s |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
      unit.name, "method");
  bool all_run = true;
  for (AblationRow const& row : rows) {
    const auto in_units = [&](std::size_t bytes) {
      return static_cast<double>(bytes) / unit.bytes;
    };
    const bool ran = row.tokens_per_second > 0;
    all_run = all_run && ran;
    out += format(
        "| %-27s | %-9s | %s | %7.2f | %9.2f | %9.2f | %11.2f | %9.2f | %7.2f | %12.2f | %14.2f "
        "| %6.4g | %8s |\n",
        method(row).c_str(), recompute(row), head(row), in_units(of(row, Category::weights)),
        in_units(of(row, Category::gradients)), in_units(of(row, Category::optimizer)),
        in_units(of(row, Category::activations)), in_units(of(row, Category::workspace)),
        in_units(row.peak), static_cast<double>(row.peak) / whole, in_units(row.gradients),
        row.flops / 1e12, ran ? human_count(std::llround(row.tokens_per_second)).c_str() : "-");
  }
  if (!all_run) {
    out += format("\n-: planned, not run: it needs more than %.2f %s\n",
                  static_cast<double>(memory) / unit.bytes, unit.name);
  }
  return out + ladder(rows, inference, unit);
}

nlohmann::ordered_json AblationReport::json() const {
  using Out = nlohmann::ordered_json;
  Out list = Out::array();
  for (AblationRow const& row : rows) {
    Out categories;
    for (int c = 0; c < kCategories; ++c) {
      const auto category = static_cast<Category>(c);
      categories[std::string(to_string(category))] = of(row, category);
    }
    Out line{{"method", row.what.method},
             {"recompute", recompute(row)},
             {"head", head(row)},
             {"factors_kept", row.what.keeps_factors},
             {"peak_bytes", row.peak},
             {"at_peak", std::move(categories)},
             {"most_gradient_bytes", row.gradients},
             {"reserved_bytes", row.slab},
             {"step_flops", row.flops}};
    line["tokens_per_second"] = row.tokens_per_second > 0 ? Out(row.tokens_per_second) : Out();
    list.push_back(std::move(line));
  }
  return {{"config", config},
          {"parameters", shape.parameters()},
          {"dtype", to_string(dtype)},
          {"batch",
           {{"tokens", batch.tokens}, {"targets", batch.targets}, {"sequences", batch.sequences}}},
          {"memory_bytes", memory},
          {"rows", std::move(list)}};
}

}  // namespace lomo
