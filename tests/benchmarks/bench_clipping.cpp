// What exact clipping by the global norm costs: the time of a clipped step over that of an
// unclipped one, for one pass (factors kept), for factors of the upper half of the blocks kept, for
// two passes (norm pass first; its norms in the cheapest way, or from tiles), and for the published
// way (a second forward and a second backward that forms every gradient). Interleaved, processor
// time, medians; `from`, `to` are the quartiles of the ratio of a step to the unclipped one of its
// round.
//   bench_clipping layers width ffn vocab dtype loss_share repetitions tokens...
//   mpirun -np R bench_clipping ...: `tokens` are of each rank, and the time is that on the clock,
//   since ranks wait for each other.
// loss_share: rows at the end of each sequence of 512 that carry loss, 1 for all of them.
// repetitions 0: nothing is computed, only operations and memory are counted, of any size.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lomo/backend/process_group.h"
#include "lomo/core/random.h"
#include "lomo/data/batch.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/decoder.h"
#include "lomo/optim/sinks/fused_update.h"
#include "lomo/optim/sinks/keep_factors.h"
#include "lomo/optim/sinks/norm_probe.h"

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
  Steps(Decoder& model, ShardedBatch const& batch)
      : model_(model),
        batch_(batch),
        backend_(model.backend()),
        gradient_comm_{model.ranks()},
        rule_(make_update_rule(backend_, {}, /*seed=*/0, model.weights().groups(), model.ranks())),
        scale_(1.0f / static_cast<float>(batch.targets())) {}

  void plain() {
    Pass pass = forward();
    update([&](GradientSink& sink) { model_.backward(pass, sink, scale_, false); });
  }
  void one_pass() {
    Pass pass = forward();
    KeepFactors factors({backend_, TileSize{}, {}, gradient_comm_}, 1, NormMethod::cheapest);
    model_.backward(pass, factors, scale_, false);
    clip(factors);
    update([&](GradientSink& sink) { factors.release(sink); });
  }
  void half_kept() {
    Pass pass = forward();
    KeepFactors factors({backend_, TileSize{}, {}, gradient_comm_}, 1, NormMethod::cheapest);
    BackwardPoint point =
        model_.backward_upper(pass, factors, scale_, model_.config().layers / 2, false);
    factors.stop_keeping();
    BackwardPoint again = model_.duplicate(point);
    model_.backward_rest(pass, std::move(point), factors, true);
    clip(factors);
    update([&](GradientSink& sink) {
      factors.release(sink);
      model_.backward_rest(pass, std::move(again), sink, false);
    });
  }
  void two_passes() { two_passes(NormMethod::cheapest); }
  void two_passes_by_tiles() { two_passes(NormMethod::tiles); }
  void published() {
    Pass pass = forward();
    NormProbe probe({backend_, TileSize{}, {}, gradient_comm_}, 1, NormMethod::tiles);
    model_.backward(pass, probe, scale_, false);
    clip(probe);
    pass = Pass{};
    plain();
  }

 private:
  Pass forward() { return model_.forward(batch_, Recompute::none); }
  void two_passes(NormMethod method) {
    Pass pass = forward();
    NormProbe probe({backend_, TileSize{}, {}, gradient_comm_}, 1, method);
    model_.backward(pass, probe, scale_, true);
    clip(probe);
    update([&](GradientSink& sink) { model_.backward(pass, sink, scale_, false); });
  }
  void clip(TileSink const& sink) {
    step_.lr = 1e-4f;
    const double norm = backend_.computes() ? sink.stats().norm() : 1;
    step_.gradient.coefficient = static_cast<float>(std::min(1.0, 1 / (norm + 1e-6)));
  }
  void update(std::function<void(GradientSink&)> const& backward) {
    FusedUpdate sink({backend_, TileSize{}, *rule_, gradient_comm_}, step_);
    backward(sink);
    backend_.synchronize();
  }

  Decoder& model_;
  ShardedBatch const& batch_;
  Backend& backend_;
  GradientComm gradient_comm_;
  std::unique_ptr<UpdateRule> rule_;
  float scale_;
  StepContext step_;
};

/// Of all threads: what else runs on the machine counts for less than by the clock on the wall.
double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}
double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Kind {
  char const* name;
  void (Steps::*step)();
  std::vector<double> seconds;
  double flops = 0;
  std::size_t peak = 0;
  double received = 0;
};

void run(Decoder& model, std::int64_t tokens, double loss_share, int repetitions) {
  const ShardedBatch batch =
      gather_batch(model.ranks(), make_tokens(tokens, model.config().vocab, loss_share));
  Steps steps(model, batch);
  Kind kinds[] = {{"no clipping", &Steps::plain, {}},
                  {"one pass", &Steps::one_pass, {}},
                  {"half kept", &Steps::half_kept, {}},
                  {"two passes", &Steps::two_passes, {}},
                  {"two, tiles", &Steps::two_passes_by_tiles, {}},
                  {"published", &Steps::published, {}}};
  Ledger& ledger = model.backend().ledger();
  const auto now = model.ranks().size() == 1 ? processor_seconds : clock_seconds;
  for (int r = 0; r <= repetitions; ++r) {  // the first round warms up
    for (Kind& kind : kinds) {
      ledger.restart();
      const double start = now();
      (steps.*kind.step)();
      if (r > 0) kind.seconds.push_back(now() - start);
      kind.flops = ledger.flops();
      kind.peak = ledger.peak();
      kind.received = 0;
      for (auto const& [name, op] : ledger.ops()) kind.received += op.cost.received;
    }
  }
  const auto at = [](std::vector<double> v, double share) {
    if (v.empty()) return 0.0;
    std::sort(v.begin(), v.end());
    return v[static_cast<std::size_t>(share * static_cast<double>(v.size() - 1) + 0.5)];
  };
  if (rank_info(model.ranks()).rank != 0) return;
  for (Kind const& kind : kinds) {
    std::vector<double> ratios;
    for (std::size_t r = 0; r < kind.seconds.size(); ++r) {
      ratios.push_back(kind.seconds[r] / kinds[0].seconds[r]);
    }
    std::printf("| %5lld | %-11s | %8.3f | %5.2f | %5.2f | %5.2f | %5.2f | %6.2f | %8.1f |\n",
                static_cast<long long>(batch.mine.rows()), kind.name, at(kind.seconds, 0.5),
                at(ratios, 0.5), at(ratios, 0.25), at(ratios, 0.75), kind.flops / kinds[0].flops,
                static_cast<double>(kind.peak) / (1u << 30), kind.received / (1u << 20));
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
  const bool counts_only = number(7) == 0;
  const auto ranks = started_as_rank() ? make_mpi_process_group() : make_single_rank();
  Engine engine(counts_only ? make_dry_backend({}) : make_cpu_backend({}));
  if (ranks->size() > 1) {
    engine.connection =
        counts_only ? make_dry_communicator(*engine, ranks->host()) : ranks->communicator(*engine);
  }
  Backend* const backend = engine.backend.get();
  ModelConfig c;
  c.layers = number(1);
  c.width = number(2);
  c.head_width = std::min<std::int64_t>(128, c.width);
  c.heads = c.kv_heads = c.width / c.head_width;
  c.ffn = number(3);
  c.vocab = number(4);
  c.context = 4096;
  Decoder model(*backend, c, parse_dtype(argv[5]).value(), {}, engine.ranks());
  initialise_weights(*backend, model.weights(), c, 1);
  if (ranks->rank() == 0) {
    std::printf(
        "%s; %s; %d ranks\n"
        "| tokens | step | seconds | time | from | to | flops | peak GiB | received MiB |\n"
        "|--|--|--|--|--|--|--|--|--|\n",
        backend->describe().c_str(), argv[5], ranks->size());
  }
  for (int i = 8; i < argc; ++i) {
    run(model, number(i), std::strtod(argv[6], nullptr), static_cast<int>(number(7)));
  }
}
