// Ten steps against the published LOMO and AdaLomo (lomo-optim 0.1.1 on PyTorch); the fixtures come
// from tests/reference/make_published_lomo.py.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "lomo/io/safetensors.h"
#include "model/tiny.h"
#include "support/catch.h"
#include "support/source_dir.h"

using namespace lomo;
using namespace lomo::test;
using nlohmann::json;

namespace {

std::filesystem::path fixture(std::string const& name) {
  return test::source_dir() / "tests/fixtures/published" / name;
}

std::vector<float> read(SafetensorsFile const& file, std::string const& name) {
  SafetensorsEntry const* entry = file.find(name);
  REQUIRE(entry != nullptr);
  std::vector<float> values(static_cast<std::size_t>(entry->numel()));
  file.read(*entry, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

ModelConfig config_of_generator(bool tied) {
  ModelConfig c;
  c.width = 16;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 4;
  c.ffn = 24;
  c.vocab = 29;
  c.context = 32;
  c.norm_eps = 1e-5f;
  c.tied_embeddings = tied;
  return c;
}

/// One step the published way: [norm pass], fused update. Returns loss and gradient norm.
struct StepFigures {
  double loss = 0, norm = 0;
};
StepFigures train_step(Llama& model, UpdateRule& rule, json const& run, json const& entry,
                       std::int64_t t) {
  std::vector<Sequence> sequences;
  for (auto const& ids : entry["ids"]) {
    sequences.push_back(make_sequence(ids.get<std::vector<std::int32_t>>(), 1));
  }
  const Batch batch = make_batch(sequences);
  const float scale = 1.0f / static_cast<float>(batch.loss_count());
  Pass pass = model.forward(batch, Recompute::block);
  StepFigures out;
  for (const float loss : model.losses(pass)) out.loss += static_cast<double>(loss);
  out.loss /= static_cast<double>(batch.loss_count());

  StepContext step;
  step.step = t;
  step.lr = entry["lr"].get<float>();
  step.gradient.clip_value = run.value("clip_grad_value", 0.0f);
  const double limit = run.value("clip_grad_norm", 0.0);
  if (limit > 0) {
    NormProbe probe(model.backend(), TileSize{512}, 1);
    model.backward(pass, probe, scale, /*keep=*/true);
    out.norm = probe.stats().norm();
    step.gradient.coefficient = static_cast<float>(std::min(1.0, limit / (out.norm + 1e-6)));
  }
  FusedUpdate update(model.backend(), TileSize{512}, rule, step);
  model.backward(pass, update, scale, /*keep=*/false);
  return out;
}

}  // namespace

TEST_CASE("ten steps equal those of the published code") {
  // Both compute in f32 from the same numbers in another order: a few hundred roundings of 2^-24.
  constexpr double kAfterOne = 1e-6;
  // Ten steps of lr 0.05 carry the difference on without amplifying it.
  constexpr double kAfterTen = 4e-6;
  const json runs = json::parse(std::ifstream(fixture("runs.json")));
  for (auto const& [name, run] : runs.items()) {
    INFO(name);
    const bool tied = run["tied"];
    auto backend = make_cpu(2);
    Llama model(*backend, config_of_generator(tied), DType::f32, HeadOptions{8, 0});
    const SafetensorsFile initial(
        fixture(tied ? "initial_tied.safetensors" : "initial_untied.safetensors"));
    for (auto* group : model.weights().groups()) {
      for (auto& p : group->members()) fill(*backend, p.value, read(initial, p.name));
    }
    OptimizerOptions options;
    options.kind = run["kind"] == "lomo" ? OptimizerKind::lomo : OptimizerKind::adalomo;
    options.weight_decay = run.value("weight_decay", 0.0f);
    auto rule = make_update_rule(*backend, options, model.weights().groups());

    const SafetensorsFile expected(fixture(name + ".safetensors"));
    const auto compare = [&](std::string const& prefix, double bound) {
      for (auto* group : model.weights().groups()) {
        for (auto const& p : group->members()) {
          INFO(prefix << p.name);
          CHECK(relative_distance(raw_values<float>(*backend, p.value),
                                  read(expected, prefix + p.name)) < bound);
        }
      }
    };
    std::int64_t t = 0;
    for (auto const& entry : run["steps"]) {
      const StepFigures figures = train_step(model, *rule, run, entry, ++t);
      INFO("step " << t);
      CHECK(figures.loss == Approx(entry["loss"].get<double>()).epsilon(kAfterTen));
      if (entry.contains("norm")) {
        CHECK(figures.norm == Approx(entry["norm"].get<double>()).epsilon(kAfterTen));
      }
      if (t == 1) compare("step1/", kAfterOne);
    }
    compare("step10/", kAfterTen);
  }
}
