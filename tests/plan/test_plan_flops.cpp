#include <cstdint>
#include <map>
#include <string>

#include "lomo/model/model_flops.h"
#include "lomo/train/trainer.h"
#include "model/tiny.h"
#include "support/catch.h"

using namespace lomo;

namespace {

/// Sizes in the letters of docs/NOTATION.md, as doubles: every count below is a whole number.
struct Letters {
  double n, m;  // N rows, N' of them with a target: the last ones of one sequence
  double c, h, g, f, v, l;
  double weights() const {  // of a block's matrices
    return c * (h + 2 * g) + h * c + 2 * f * c + f * c;
  }
  double parameters(bool tied) const {
    return l * (weights() + 2 * c) + c + (tied ? 1 : 2) * v * c;
  }
  /// Query-key pairs of the last `queries` rows of the sequence.
  double pairs(double queries) const { return queries * n - queries * (queries - 1) / 2; }
};

Letters letters_of(ModelConfig const& s, std::int64_t rows, std::int64_t targets) {
  const auto d = [](std::int64_t x) { return static_cast<double>(x); };
  return {d(rows),  d(targets), d(s.width), d(s.heads * s.head_width), d(s.kv_heads * s.head_width),
          d(s.ffn), d(s.vocab), d(s.layers)};
}

struct Step {
  std::map<std::string, double> by_op;
  double total = 0;
  double operator[](std::string const& op) const {
    const auto found = by_op.find(op);
    return found == by_op.end() ? 0 : found->second;
  }
};

TrainConfig config_of(Recompute recompute, bool verdict, std::size_t kept_logits) {
  TrainConfig config;
  config.model.dtype = DType::f32;
  config.optimizer.kind = OptimizerKind::lomo;
  config.optimizer.lr = 1e-3;
  config.optimizer.rounding = Rounding::nearest;
  config.metrics.rounding_every = 0;
  config.train.recompute = recompute;
  config.gradient_check = verdict ? GradientCheck::step : GradientCheck::tile;
  config.clip.kept_blocks = 0;
  config.memory.keep_logits_bytes = kept_logits;
  return config;
}

/// One LOMO step on the dry engine: one sequence of n tokens, the last m of them with a target.
Step step_of(ModelConfig const& shape, TrainConfig const& config, int n, int m) {
  const auto engine = make_dry_backend({.threads = 2});
  Decoder model(*engine, shape, DType::f32,
                {config.memory.head_block_rows, config.memory.keep_logits_bytes});
  Trainer trainer(model, config, Schedule(ScheduleKind::constant, 1e-3, 0, 10));
  trainer.find_norms_by(NormMethod::tiles);
  const auto sequences =
      test::random_sequences({n}, static_cast<std::size_t>(n - m), shape.vocab, 3);
  engine->ledger().restart();
  trainer.step(make_batch(sequences));
  Step step;
  step.total = engine->ledger().flops();
  for (auto const& [name, op] : engine->ledger().ops()) step.by_op[name] = op.cost.flops;
  return step;
}

/// Of an untied model by step_of: of the embedding, the rows that the batch names.
double updated_elements(ModelConfig const& shape, Letters const& s, int n) {
  const auto sequences = test::random_sequences({n}, 0, shape.vocab, 3);
  const auto ids = static_cast<double>(make_batch(sequences).unique_ids.size());
  return s.parameters(false) - s.v * s.c + ids * s.c;
}

/// Of one sequence of n tokens, the last m of them with a target.
double model_flops_of(ModelConfig const& shape, int n, int m) {
  return model_flops(shape, make_batch(test::random_sequences({n}, static_cast<std::size_t>(n - m),
                                                              shape.vocab, 3)));
}

constexpr std::size_t kKept = std::size_t{1} << 30;

}  // namespace

TEST_CASE("the flops of a step are those of its formulas, operation by operation") {
  const ModelConfig shape = test::tiny_config(false);
  const int n = 50;
  const Letters s = letters_of(shape, n, n);
  const Step step = step_of(shape, config_of(Recompute::none, false, kKept), n, n);
  // Products: forward, and twice as many in backward. Two in a block add a residual.
  const double products = 2 * s.n * s.l * s.weights() + 2 * s.n * s.v * s.c;
  CHECK(step["linear"] == products + 2 * s.n * s.c * s.l);
  CHECK(step["linear_backward_input"] == products);
  CHECK(step["linear_backward_weight"] == products);
  CHECK(step["attention"] == 4 * s.pairs(s.n) * s.h * s.l);
  CHECK(step["attention_backward"] == 10 * s.pairs(s.n) * s.h * s.l);
  // What the model needs, where backward takes twice the products of forward.
  CHECK(model_flops_of(shape, n, n) == 3 * products + 12 * s.pairs(s.n) * s.h * s.l);
  CHECK(model_flops_of(shape, n, 20) ==
        3 * (products - 2 * (s.n - 20) * s.v * s.c) + 12 * s.pairs(s.n) * s.h * s.l);
  // What goes row by row.
  CHECK(step["rmsnorm"] == 4 * s.n * s.c * (2 * s.l + 1));
  CHECK(step["rmsnorm_backward"] == 9 * s.n * s.c * (2 * s.l + 1));
  CHECK(step["rope"] == 2 * 3 * s.n * (s.h + s.g) * s.l);
  CHECK(step["swiglu"] == 5 * s.n * s.f * s.l);
  CHECK(step["swiglu_backward"] == 12 * s.n * s.f * s.l);
  CHECK(step["cross_entropy_block"] == 4 * s.n * s.v);
  CHECK(step["cross_entropy_end"] == 3 * s.n);
  CHECK(step["cross_entropy_backward"] == 4 * s.n * s.v);
  CHECK(step["sum_rows"] == s.n * s.c);
  // The update of each parameter.
  const double updated = updated_elements(shape, s, n);
  CHECK(step["accumulate_squared_norm"] == 3 * updated);
  CHECK(step["sgd_update"] + step["sgd_update_rows"] == 7 * updated);
  double sum = 0;
  for (auto const& [op, flops] : step.by_op) sum += flops;
  CHECK(sum == step.total);
}

TEST_CASE("the flops of what LLaMA has not are those of its formulas too") {
  const ModelConfig shape = test::unlike_llama(false);
  const int n = 50;
  const Letters s = letters_of(shape, n, n);
  const Step step = step_of(shape, config_of(Recompute::none, false, kKept), n, n);
  // Products are added to their biases; a branch with a factor is added by itself.
  const double products = 2 * s.n * s.l * s.weights() + 2 * s.n * s.v * s.c;
  const double biases = s.l * (s.h + 2 * s.g + s.c + 2 * s.f + s.c);
  CHECK(step["linear"] == products + s.n * biases);
  CHECK(step["linear_backward_input"] == products);
  CHECK(step["linear_backward_weight"] == products);
  // Two layers see four keys, the first queries fewer.
  const double windows = 4 * s.n - 3 - 2 - 1, all = s.pairs(s.n);
  CHECK(model_flops_of(shape, n, n) == 3 * products + 12 * (2 * windows + all) * s.h);
  CHECK(step["attention"] == 4 * (2 * windows + all) * s.h);
  CHECK(step["attention_backward"] == 10 * (2 * windows + all) * s.h);
  CHECK(step["rmsnorm"] == 4 * s.n * (s.c * (2 * s.l + 1) + (s.h + s.g) * s.l));
  CHECK(step["rmsnorm_backward"] == 9 * s.n * (s.c * (2 * s.l + 1) + (s.h + s.g) * s.l));
  // Two layers turn 6 of 10 columns of a head.
  CHECK(step["rope"] == Approx(2 * 3 * s.n * (s.h + s.g) * 0.6 * 2).epsilon(1e-12));
  CHECK(step["add_bias"] == s.n * biases);
  CHECK(step["sum_columns"] == s.n * biases);
  // Forward and back: two branches of a block, the embedding, the input of the head.
  CHECK(step["scale"] == 2 * 2 * s.n * s.c * (2 * s.l + 2));
}

TEST_CASE("recomputation and the norm pass cost the products that they repeat") {
  for (const bool tied : {false, true}) {
    const ModelConfig shape = test::tiny_config(tied);
    const int n = 50;
    const Letters s = letters_of(shape, n, n);
    const double block = 2 * s.n * s.l * s.weights(), head = 2 * s.n * s.v * s.c;
    const double residuals = 2 * s.n * s.c * s.l;
    for (const bool recomputation : {false, true}) {
      for (const bool verdict : {false, true}) {
        INFO("tied " << tied << " recomputation " << recomputation << " gradient check "
                     << verdict);
        const Step step = step_of(
            shape, config_of(recomputation ? Recompute::block : Recompute::none, verdict, kKept), n,
            n);
        const double backwards = verdict ? 2 : 1;
        const double forwards = 1 + (recomputation ? backwards : 0);
        const double output = 2 * s.n * s.l * s.c * s.f + s.n * s.c * s.l;  // not recomputed
        CHECK(step["linear"] == forwards * (block + residuals) - (forwards - 1) * output + head);
        CHECK(step["attention"] == forwards * 4 * s.pairs(s.n) * s.h * s.l);
        CHECK(step["linear_backward_input"] == backwards * (block + head));
        CHECK(step["linear_backward_weight"] == backwards * (block + head));
        CHECK(step["attention_backward"] == backwards * 10 * s.pairs(s.n) * s.h * s.l);
        // Each gradient is looked at once: by the norm pass, or as it is applied.
        if (!tied) CHECK(step["accumulate_squared_norm"] == 3 * updated_elements(shape, s, n));
      }
    }
  }
}

TEST_CASE("where few rows carry loss, the last block and the head do the work of those alone") {
  const ModelConfig shape = test::tiny_config(false);
  const int n = 50, m = 20;
  const Letters s = letters_of(shape, n, m);
  const double inner = 2 * s.n * s.weights();
  const double last = 2 * s.n * s.c * 2 * s.g + 2 * s.m * (s.weights() - s.c * 2 * s.g);
  const double head = 2 * s.m * s.v * s.c;
  const Step kept = step_of(shape, config_of(Recompute::none, false, kKept), n, m);
  const double products = (s.l - 1) * inner + last;
  const double residuals = 2 * s.c * ((s.l - 1) * s.n + s.m);
  CHECK(kept["linear"] == products + head + residuals);
  // The rows that query get the second part of their gradient added.
  CHECK(kept["linear_backward_input"] == products + head + s.m * s.c);
  CHECK(kept["linear_backward_weight"] == products + head);
  CHECK(kept["attention"] == 4 * s.h * ((s.l - 1) * s.pairs(s.n) + s.pairs(s.m)));
  CHECK(kept["attention_backward"] == 10 * s.h * ((s.l - 1) * s.pairs(s.n) + s.pairs(s.m)));

  // Without kept logits they are made three times: forward, backward, and for the update. Each
  // block of the vocabulary but the first adds its part of dx.
  TrainConfig config = config_of(Recompute::none, false, 0);
  config.memory.head_block_rows = 7;
  const Step blocks = step_of(shape, config, n, m);
  const double parts = (101 + 6) / 7;
  CHECK(blocks["linear"] == products + 3 * head + residuals);
  CHECK(blocks["linear_backward_input"] == products + head + s.m * s.c + (parts - 1) * s.m * s.c);
  CHECK(blocks["linear_backward_weight"] == products + head);
}
