// What exact clipping by the global norm costs: the time of a clipped step over that of an
// unclipped one, for one pass (factors kept), two passes (norm pass first), and the published way
// (a second forward and a second backward that forms every gradient). One process, interleaved,
// medians.
//   bench_clipping layers width ffn vocab dtype loss_share repetitions tokens...
// loss_share: rows at the end of each sequence of 512 that carry loss, 1 for all of them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lomo/core/random.h"
#include "lomo/data/batch.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/llama.h"
#include "lomo/optim/sinks.h"

using namespace lomo;

namespace {

Batch make_tokens(std::int64_t rows, std::int64_t vocab, double loss_share) {
  constexpr std::int64_t kLongest = 512;
  RandomStream random(random_key(1, "bench", "tokens", 0));
  std::vector<Sequence> sequences;
  for (std::int64_t n = 0; n < rows; n += kLongest) {
    const std::int64_t length = std::min(kLongest, rows - n);
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i <= length; ++i) {
      ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab))));
    }
    const double prompt = (1 - loss_share) * static_cast<double>(length);
    sequences.push_back(make_sequence(ids, static_cast<std::size_t>(prompt) + 1));
  }
  return make_batch(sequences);
}

/// One step of each kind on the same model.
class Steps {
 public:
  Steps(Llama& model, Batch const& batch)
      : model_(model),
        batch_(batch),
        backend_(model.backend()),
        rule_(make_update_rule(backend_, {}, model.weights().groups())),
        scale_(1.0f / static_cast<float>(batch.loss_count())) {}

  void plain() {
    Pass pass = forward();
    update([&](GradientSink& sink) { model_.backward(pass, sink, scale_, false); });
  }
  void one_pass() {
    Pass pass = forward();
    KeepFactors factors(backend_, TileSize{}, 1);
    model_.backward(pass, factors, scale_, false);
    clip(factors);
    update([&](GradientSink& sink) { factors.release(sink); });
  }
  void two_passes() {
    Pass pass = forward();
    NormProbe probe(backend_, TileSize{}, 1, NormMethod::cheapest);
    model_.backward(pass, probe, scale_, true);
    clip(probe);
    update([&](GradientSink& sink) { model_.backward(pass, sink, scale_, false); });
  }
  void published() {
    Pass pass = forward();
    NormProbe probe(backend_, TileSize{}, 1, NormMethod::tiles);
    model_.backward(pass, probe, scale_, false);
    clip(probe);
    pass = Pass{};
    plain();
  }

 private:
  Pass forward() { return model_.forward(batch_, Recompute::none); }
  void clip(TileSink const& sink) {
    step_.lr = 1e-4f;
    step_.gradient.coefficient =
        static_cast<float>(std::min(1.0, 1 / (sink.stats().norm() + 1e-6)));
  }
  void update(std::function<void(GradientSink&)> const& backward) {
    FusedUpdate sink(backend_, TileSize{}, *rule_, step_);
    backward(sink);
    backend_.synchronize();
  }

  Llama& model_;
  Batch const& batch_;
  Backend& backend_;
  std::unique_ptr<UpdateRule> rule_;
  float scale_;
  StepContext step_;
};

struct Kind {
  char const* name;
  void (Steps::*step)();
  std::vector<double> seconds;
  double flops = 0;
  std::size_t peak = 0;
};

void run(Llama& model, std::int64_t tokens, double loss_share, int repetitions) {
  const Batch batch = make_tokens(tokens, model.config().vocab, loss_share);
  Steps steps(model, batch);
  Kind kinds[] = {{"no clipping", &Steps::plain, {}},
                  {"one pass", &Steps::one_pass, {}},
                  {"two passes", &Steps::two_passes, {}},
                  {"published", &Steps::published, {}}};
  Ledger& ledger = model.backend().ledger();
  for (int r = 0; r <= repetitions; ++r) {  // the first round warms up
    for (Kind& kind : kinds) {
      ledger.restart();
      const auto start = std::chrono::steady_clock::now();
      (steps.*kind.step)();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      if (r > 0) kind.seconds.push_back(took.count());
      kind.flops = ledger.flops();
      kind.peak = ledger.peak();
    }
  }
  const auto median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  for (Kind const& kind : kinds) {
    std::printf("| %5lld | %-11s | %8.3f | %5.2f | %5.2f | %6.2f |\n",
                static_cast<long long>(batch.rows()), kind.name, median(kind.seconds),
                median(kind.seconds) / median(kinds[0].seconds), kind.flops / kinds[0].flops,
                static_cast<double>(kind.peak) / (1u << 30));
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 9) {
    std::fprintf(stderr,
                 "bench_clipping layers width ffn vocab dtype loss_share repetitions tokens...\n");
    return 2;
  }
  const auto number = [argv](int i) { return std::strtoll(argv[i], nullptr, 10); };
  auto backend = make_cpu_backend({});
  ModelConfig c;
  c.layers = number(1);
  c.width = number(2);
  c.head_width = std::min<std::int64_t>(128, c.width);
  c.heads = c.kv_heads = c.width / c.head_width;
  c.ffn = number(3);
  c.vocab = number(4);
  c.context = 4096;
  Llama model(*backend, c, parse_dtype(argv[5]).value());
  initialise_weights(*backend, model.weights(), c, 1);
  std::printf(
      "%s; %s\n| tokens | step | seconds | time | flops | peak GiB |\n|--|--|--|--|--|--|\n",
      backend->describe().c_str(), argv[5]);
  for (int i = 8; i < argc; ++i) {
    run(model, number(i), std::strtod(argv[6], nullptr), static_cast<int>(number(7)));
  }
}
