// Ten steps against the published LOMO and AdaLomo (lomo-optim 0.1.1 on PyTorch); the fixtures come
// from tests/reference/make_published_lomo.py.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "lomo/io/safetensors.h"
#include "lomo/train/trainer.h"
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

ModelConfig config_of_generator(bool tied) {
  ModelConfig c;
  c.width = 8;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 4;
  c.ffn = 12;
  c.vocab = 19;
  c.context = 32;
  c.norm_eps = 1e-5f;
  c.tied_embeddings = tied;
  return c;
}

/// The same training by our trainer, and what the published code made of it.
class Duel {
 public:
  Duel(std::string const& name, json const& run)
      : run_(run),
        file_(fixture(name + ".safetensors")),
        dtype_(parse_dtype(run.value("dtype", "f32")).value()),
        model_(*backend_, config_of_generator(run["tied"]), dtype_, HeadOptions{8, 0}),
        trainer_(model_, config(),
                 Schedule(ScheduleKind::linear, run["lr"], run["warmup"], run["total"], 0,
                          /*published=*/true)) {
    take_theirs(0);
  }

  DType dtype() const { return dtype_; }
  double unit() const { return unit_roundoff(dtype_); }

  StepReport step(json const& entry) {
    std::vector<Sequence> sequences;
    for (auto const& ids : entry["ids"]) {
      sequences.push_back(make_sequence(ids.get<std::vector<std::int32_t>>(), 1));
    }
    return trainer_.step(make_batch(sequences));
  }

  /// Weights of the published run after step `t`; 0: at the start.
  void take_theirs(std::size_t t) {
    each([&](Parameter const& p) { fill(*backend_, p.value, theirs(p, t)); });
  }
  std::vector<float> theirs(Parameter const& p, std::size_t t) const {
    SafetensorsEntry const* entry = file_.find(p.name);
    REQUIRE(entry != nullptr);
    REQUIRE(entry->dtype == dtype_);
    const auto count = static_cast<std::size_t>(p.value.numel());
    Buffer stage = backend_->allocate(p.value.shape(), dtype_, Category::workspace, "stage");
    std::vector<std::byte> raw(count * size_of(dtype_));
    file_.read(*entry, t * raw.size(), raw);
    backend_->upload(stage, raw);
    const std::vector<double> wide = values(*backend_, stage);
    return {wide.begin(), wide.end()};
  }
  std::vector<float> ours(Parameter const& p) const {
    const std::vector<double> wide = values(*backend_, p.value);
    return {wide.begin(), wide.end()};
  }
  void each(std::function<void(Parameter&)> const& f) {
    for (auto* group : model_.weights().groups()) {
      for (auto& p : group->members()) f(p);
    }
  }

 private:
  TrainConfig config() const {
    TrainConfig c;
    c.optimizer.kind = run_["kind"] == "lomo" ? OptimizerKind::lomo : OptimizerKind::adalomo;
    c.optimizer.weight_decay = run_.value("weight_decay", 0.0);
    c.optimizer.rounding = Rounding::nearest;
    c.clip.norm = run_.value("clip_grad_norm", 0.0);
    c.clip.value = run_.value("clip_grad_value", 0.0);
    // The published ways, where the paper has others.
    c.loss_scale.initial = run_.value("init_scale", 65536.0);
    c.loss_scale.window = 0;
    c.loss_scale.skip_consumes_schedule = true;
    c.memory.tile_bytes = 512;
    return c;
  }

  json const& run_;
  SafetensorsFile file_;
  DType dtype_;
  std::unique_ptr<Backend> backend_ = make_cpu(1);
  Decoder model_;
  Trainer trainer_;
};

}  // namespace

TEST_CASE("f32 parameters are those of the published code after each of ten steps") {
  // Both compute in f32 from the same numbers in another order.
  constexpr double kSame = 1e-6;
  const json runs = json::parse(std::ifstream(fixture("runs.json")));
  int seen = 0;
  for (auto const& [name, run] : runs.items()) {
    Duel duel(name, run);
    if (duel.dtype() != DType::f32) continue;
    ++seen;
    std::size_t t = 0;
    for (auto const& entry : run["steps"]) {
      const StepReport report = duel.step(entry);
      INFO(name << ", step " << ++t);
      CHECK(report.outcome == StepOutcome::applied);
      CHECK(report.lr == Approx(entry["lr"].get<double>()).epsilon(1e-12));
      CHECK(report.loss == Approx(entry["loss"].get<double>()).epsilon(4 * kSame));
      if (entry.contains("norm")) {
        CHECK(report.grad_norm == Approx(entry["norm"].get<double>()).epsilon(4 * kSame));
      }
      duel.each([&](Parameter& p) {
        INFO(p.name);
        CHECK(relative_distance(duel.ours(p), duel.theirs(p, t)) < kSame);
      });
    }
  }
  CHECK(seen == 10);
}

// Each step starts from their weights, so that what it does is not hidden behind what the ones
// before it did. Rounding to nearest leaves one unit of the last place; what is rounded differs by
// the rate times the difference of the gradients, both of which went through about kRoundings
// roundings to storage (twenty operations forward and backward in each of two layers), a random
// walk, taken three times. A logit that is rounded is off by its size in units, and its probability
// by as much; the loss stands for the size of the logits.
TEST_CASE("16-bit parameters are within one unit of the last place of the published code's") {
  constexpr double kRoundings = 40;
  const json runs = json::parse(std::ifstream(fixture("runs.json")));
  int seen = 0, overflows = 0, changed = 0;
  for (auto const& [name, run] : runs.items()) {
    Duel duel(name, run);
    if (duel.dtype() == DType::f32) continue;
    ++seen;
    std::size_t t = 0;
    for (auto const& entry : run["steps"]) {
      duel.take_theirs(t);
      const StepReport report = duel.step(entry);
      INFO(name << ", step " << ++t);
      const double gradient =
          3 * std::sqrt(2 * (kRoundings + report.loss * report.loss)) * duel.unit();
      const bool overflow = entry.value("overflow", false);
      overflows += overflow ? 1 : 0;
      CHECK(report.outcome == (overflow ? StepOutcome::overflow : StepOutcome::applied));
      CHECK(report.loss == Approx(entry["loss"].get<double>()).epsilon(gradient));
      CHECK(report.lr == Approx(entry["lr"].get<double>()).epsilon(1e-12));
      if (duel.dtype() == DType::f16) CHECK(report.loss_scale == entry["scale"]);
      if (entry.contains("norm")) {
        CHECK(report.grad_norm == Approx(entry["norm"].get<double>()).epsilon(gradient));
      }
      duel.each([&](Parameter& p) {
        const auto before = duel.theirs(p, t - 1), theirs = duel.theirs(p, t), ours = duel.ours(p);
        if (overflow) {  // every bit stays, on both sides
          CHECK(ours == before);
          CHECK(theirs == before);
          return;
        }
        double largest = 0;  // step of the tensor
        for (std::size_t i = 0; i < theirs.size(); ++i) {
          const auto step = static_cast<double>(theirs[i] - before[i]);
          largest = std::max(largest, std::fabs(step));
          changed += step != 0 ? 1 : 0;
        }
        for (std::size_t i = 0; i < theirs.size(); ++i) {
          const auto a = static_cast<double>(ours[i]), b = static_cast<double>(theirs[i]);
          const double size = std::max(std::fabs(a), std::fabs(b));
          const double place = size > 0 ? std::ldexp(2 * duel.unit(), std::ilogb(size)) : 0;
          if (!(std::fabs(a - b) <= place + gradient * largest)) {
            FAIL(p.name << " " << i << ": " << a << " for " << b);
          }
        }
      });
    }
  }
  CHECK(seen == 7);
  CHECK(overflows >= 3);
  CHECK(changed > 10000);  // or rounding to nearest hid every step
}
