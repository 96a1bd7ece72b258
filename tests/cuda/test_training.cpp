// Steps of 16-bit training on the CUDA engine beside the CPU's, from the same weights.
// In angle brackets: tests/gpu has another.
#include <engines.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "lomo/model/checkpoint.h"
#include "lomo/model/config_json.h"
#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/data.h"
#include "support/source_dir.h"

using namespace lomo;
using namespace lomo::test;

namespace {

constexpr int kSteps = 10;

struct Case {
  OptimizerKind kind;
  DType dtype;
  Rounding rounding;
  double lr;
  double scale;  // the first loss scale of f16, at which one of the steps overflows
};

/// A model and its trainer on an engine.
struct Side {
  Side(std::unique_ptr<Backend> on, ModelConfig const& shape, Case const& c)
      : engine(std::move(on)),
        model(*engine, shape, c.dtype, HeadOptions{shape.vocab / 3, 0}),
        trainer(model, config(c), Schedule(ScheduleKind::linear, c.lr, 2, 2 * kSteps)) {}

  static TrainConfig config(Case const& c) {
    TrainConfig config;
    config.optimizer.kind = c.kind;
    config.optimizer.rounding = c.rounding;
    config.clip.norm = 1;
    config.loss_scale.initial = c.scale;
    config.memory.tile_bytes = 1 << 14;  // several tiles a matrix, at columns of every alignment
    return config;
  }

  std::vector<Parameter const*> parameters() {
    std::vector<Parameter const*> all;
    for (auto* group : model.weights().groups()) {
      for (Parameter const& p : group->members()) all.push_back(&p);
    }
    return all;
  }
  /// Weights and statistics become those of another side, to the bit.
  void take(Side& other) {
    const auto mine = parameters(), theirs = other.parameters();
    for (std::size_t i = 0; i < mine.size(); ++i) {
      engine->upload(mine[i]->value, bits(*other.engine, theirs[i]->value));
    }
    const auto state = trainer.rule().state(), given = other.trainer.rule().state();
    for (std::size_t i = 0; i < state.size(); ++i) {
      engine->upload(state[i].value, bits(*other.engine, given[i].value));
    }
  }

  std::unique_ptr<Backend> engine;
  Decoder model;
  Trainer trainer;
};

/// Root of the mean square of the rows' 2-norms.
double size_of_rows(Backend& engine, Tensor t) {
  const auto x = values(engine, t);
  double square = 0;
  for (const double v : x) square += v * v;
  return std::sqrt(square / static_cast<double>(t.shape().rank() == 2 ? t.rows() : t.numel()));
}

/// What roundings to storage may make of the numbers of two engines, which make the same ones at
/// the same places but from sums that differ in their last bits, so that any of them may fall to
/// the other side. Errors are of a random walk (Higham & Mary 2019), three times its deviation, of
/// two engines.
struct Roundoff {
  Roundoff(Side& side, ModelConfig const& shape, DType dtype) : unit(unit_roundoff(dtype)) {
    // A block rounds ten tensors on its way forward (two norms, q/k/v, their rotation, attention,
    // the product behind it, gate/up, the activation, two sums with the residual), the ends three.
    const double forward = 10 * static_cast<double>(shape.layers) + 3;
    // A row x of the last norm has the root mean square of its weights. A logit w x is off by
    // |w| |dx| / sqrt(C), since dx has no direction, and a loss by the logit of its target less the
    // mean of the others: two of them.
    auto const& weights = side.model.weights();
    loss = walk(forward) * std::sqrt(2.0) *
           size_of_rows(*side.engine, weights.norm.weight.stacked()) *
           size_of_rows(*side.engine, weights.head().stacked());
    // Backward rounds as often again, and starts from probabilities that are off as the logits are.
    gradient = walk(2 * forward) + loss;
  }
  double walk(double roundings) const { return 3 * std::sqrt(2 * roundings) * unit; }
  double unit;
  double loss = 0;      // absolute
  double gradient = 0;  // relative, in the 2-norm
};

double unit_of_last_place(double x, double unit) {
  return x == 0 ? 0 : std::ldexp(2 * unit, std::ilogb(x));
}

/// Of the weights that a step of the CPU's moved by one unit of the last place or not at all, which
/// for a step shorter than that is a matter of the random number, over all steps.
struct ShortSteps {
  double taken = 0;      // moved
  double differing = 0;  // not where the other engine's are
};

/// After a step from the same weights a pair is at most one place apart, for the rounding, and
/// besides by as much of the tensor's largest step as gradients are off. A vector's step under
/// AdaLomo is at first the sign of its gradient, however small: there they may go opposite ways.
void check_weights(Side& cpu, Side& cuda, std::vector<std::vector<double>> const& before,
                   Roundoff const& off, bool adalomo, ShortSteps& steps) {
  const auto ours = cuda.parameters(), theirs = cpu.parameters();
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    const auto a = values(*cuda.engine, ours[i]->value), b = values(*cpu.engine, theirs[i]->value);
    double largest = 0;
    for (std::size_t k = 0; k < b.size(); ++k) {
      largest = std::max(largest, std::abs(b[k] - before[i][k]));
    }
    const double step = (adalomo && !theirs[i]->sharded() ? 2 : off.gradient) * largest;
    for (std::size_t k = 0; k < b.size(); ++k) {
      const double apart = std::abs(a[k] - b[k]);
      const double place = unit_of_last_place(std::max(std::abs(a[k]), std::abs(b[k])), off.unit);
      if (!(apart <= place + step)) {
        FAIL(theirs[i]->name << " " << k << ": " << a[k] << " for " << b[k]);
      }
      const double moved = std::abs(b[k] - before[i][k]);
      if (moved > unit_of_last_place(before[i][k], off.unit)) continue;
      steps.taken += moved > 0;
      steps.differing += apart > 0;
    }
  }
}

std::vector<std::vector<double>> weights_of(Side& side) {
  std::vector<std::vector<double>> all;
  for (Parameter const* p : side.parameters()) all.push_back(values(*side.engine, p->value));
  return all;
}

/// Ten applied steps of the CPU, each of which the CUDA engine takes from the same weights.
void duel(ModelConfig const& shape, Case const& c, Batch const& batch,
          std::function<void(Side&)> const& prepare) {
  Side cpu(make_cpu(2), shape, c), cuda(engine(1), shape, c);
  prepare(cpu);
  const Roundoff off(cpu, shape, c.dtype);
  ShortSteps steps;
  double first = 0, last = 0;
  int overflows = 0;
  for (int applied = 0; applied < kSteps;) {
    const auto before = weights_of(cpu);
    cuda.take(cpu);
    const StepReport wanted = cpu.trainer.step(batch), got = cuda.trainer.step(batch);
    INFO("step " << applied + 1 << ": loss " << got.loss << " for " << wanted.loss << " +- "
                 << off.loss << ", norm " << got.grad_norm << " for " << wanted.grad_norm << " +- "
                 << off.gradient * wanted.grad_norm);
    REQUIRE(got.outcome == wanted.outcome);
    CHECK(got.loss_scale == wanted.loss_scale);
    CHECK(got.lr == wanted.lr);
    CHECK(std::abs(got.loss - wanted.loss) <= off.loss);
    if (wanted.outcome == StepOutcome::overflow) {
      REQUIRE(++overflows < 4);
      CHECK(weights_of(cpu) == before);
      CHECK(weights_of(cuda) == before);
      continue;
    }
    REQUIRE(wanted.outcome == StepOutcome::applied);
    CHECK(std::abs(got.grad_norm - wanted.grad_norm) <= off.gradient * wanted.grad_norm);
    check_weights(cpu, cuda, before, off, c.kind == OptimizerKind::adalomo, steps);
    if (applied++ == 0) first = wanted.loss;
    last = wanted.loss;
  }
  CHECK((overflows > 0) == (c.dtype == DType::f16));
  CHECK(last < first);
  if (c.rounding == Rounding::nearest) return;
  // With one random number for both, engines whose steps are a little apart round to different
  // sides just as seldom; with two, as often as not.
  CHECK(steps.taken > 1000);
  CHECK(steps.differing <= off.gradient * steps.taken);
}

}  // namespace

TEST_CASE("every step of ten of the quickstart's model in 16 bits is the CPU's") {
  const Case c =
      GENERATE(Case{OptimizerKind::lomo, DType::bf16, Rounding::stochastic, 0.1, 1},
               Case{OptimizerKind::adalomo, DType::f16, Rounding::nearest, 0.01, 0x1p16});
  const ModelConfig shape = read_model_config(source_dir() / "configs/quickstart/model.json");
  const Batch batch = make_batch(random_sequences({5, 8}, 2, shape.vocab, 3));
  duel(shape, c, batch,
       [&](Side& side) { initialise_weights(*side.engine, side.model.weights(), shape, 1); });
}

TEST_CASE("every step of ten of stories260K in 16 bits is the CPU's") {
  LOMO_NEEDS_DATA();
  const Case c =
      GENERATE(Case{OptimizerKind::lomo, DType::bf16, Rounding::stochastic, 0.1, 1},
               Case{OptimizerKind::lomo, DType::f16, Rounding::stochastic, 0.1, 0x1p18},
               Case{OptimizerKind::adalomo, DType::bf16, Rounding::stochastic, 0.01, 1},
               Case{OptimizerKind::adalomo, DType::f16, Rounding::nearest, 0.01, 0x1p17});
  const std::filesystem::path folder = data_dir() / "checkpoints" / "stories260K" / "hf";
  const ModelConfig shape = read_model_config(folder / "config.json");
  const Batch batch = make_batch(random_sequences({9, 14}, 2, shape.vocab, 3));
  duel(shape, c, batch,
       [&](Side& side) { load_weights(*side.engine, side.model.weights(), folder); });
}

TEST_CASE("a model with all that LLaMA has not has the CPU's loss and gradients") {
  const bool tied = GENERATE(false, true);
  const ModelConfig shape = unlike_llama(tied);
  const Batch batch = make_batch(random_sequences({9, 14, 1}, 2, shape.vocab, 3));
  const auto cpu = make_cpu(2);
  const std::unique_ptr<Backend> cuda = engine(1);
  Decoder ours(*cpu, shape, DType::f32), theirs(*cuda, shape, DType::f32);
  fill_weights(ours, 1);
  fill_weights(theirs, 1);
  const std::vector<float> a = ours.losses(batch), b = theirs.losses(batch);
  REQUIRE(a.size() == b.size());
  // Sums of some hundred terms in another order, some dozen of them one after the other.
  constexpr double kSame = 1e-5;
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(b[i] == Approx(a[i]).epsilon(kSame));
  for (const Recompute recompute : {Recompute::none, Recompute::block}) {
    const Gradients wanted = gradients_of(ours, batch, recompute, 0.1f);
    const Gradients got = gradients_of(theirs, batch, recompute, 0.1f);
    for (auto const& [name, gradient] : wanted) {
      INFO(name);
      CHECK(relative_distance(got.at(name), gradient) < kSame);
    }
  }
}
