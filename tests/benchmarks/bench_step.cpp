// Times whole training steps and their parts, and compares them with the machine's own product
// rate, measured in the same run between the steps:
//   bench_step [layers width ffn vocab tokens repetitions]
// Without arguments: two small shapes. One process, interleaved, medians.
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
#include "lomo/model/llama.h"
#include "lomo/optim/sinks.h"

using namespace lomo;

namespace {

struct ModelShape {
  std::int64_t layers, width, ffn, vocab, tokens;
};

double seconds(std::function<void()> const& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

/// flop/s of a (512,2048) x (2048,2048)^T product.
double product_rate(Backend& backend, DType dtype) {
  const auto make = [&](std::int64_t rows, std::int64_t cols) {
    Buffer b = backend.allocate(Shape(rows, cols), dtype, Category::workspace, "probe");
    backend.zero(b);
    return b;
  };
  Buffer x = make(512, 2048), w = make(2048, 2048), y = make(512, 2048);
  backend.linear(y, x, w);
  const int times = 8;
  const double t = seconds([&] {
    for (int i = 0; i < times; ++i) backend.linear(y, x, w);
    backend.synchronize();
  });
  return times * 2.0 * 512 * 2048 * 2048 / t;
}

void run(ModelShape const& s, DType dtype, int repetitions) {
  auto backend = make_cpu_backend({});
  ModelConfig c;
  c.width = s.width;
  c.layers = s.layers;
  c.heads = s.width / 64;
  c.kv_heads = c.heads;
  c.head_width = 64;
  c.ffn = s.ffn;
  c.vocab = s.vocab;
  c.context = s.tokens;
  Llama model(*backend, c, dtype);
  for (auto* group : model.weights().groups()) {
    for (auto& p : group->members()) {
      std::vector<float> host(static_cast<std::size_t>(p.value.numel()));
      RandomStream random(random_key(1, "bench", p.name, 0));
      for (float& v : host) v = 0.02f * static_cast<float>(2 * random.uniform() - 1);
      Buffer staged = backend->allocate(p.value.shape(), DType::f32, Category::workspace, "init");
      backend->upload(staged, std::as_bytes(std::span(host)));
      backend->copy(p.value, staged);
    }
  }
  std::vector<Sequence> sequences;
  RandomStream random(random_key(1, "bench", "tokens", 0));
  for (std::int64_t n = 0; n < s.tokens; n += 512) {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i <= std::min<std::int64_t>(512, s.tokens - n); ++i) {
      ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(s.vocab))));
    }
    sequences.push_back(make_sequence(ids, 1));
  }
  const Batch batch = make_batch(sequences);
  auto rule = make_update_rule(*backend, {}, model.weights().groups());
  StepContext step;
  step.lr = 1e-3f;
  const float scale = 1.0f / static_cast<float>(batch.loss_count());

  std::vector<double> rate, forward, plain, clipped;
  for (int r = 0; r < repetitions; ++r) {
    rate.push_back(product_rate(*backend, dtype));
    Pass pass;
    forward.push_back(seconds([&] { pass = model.forward(batch, Recompute::none); }));
    pass = Pass{};
    for (const bool clip : {false, true}) {
      backend->ledger().restart();
      (clip ? clipped : plain).push_back(seconds([&] {
        Pass p = model.forward(batch, Recompute::none);
        if (clip) {
          NormProbe probe(*backend, TileSize{}, 1);
          model.backward(p, probe, scale, /*keep=*/true);
          step.gradient.coefficient =
              static_cast<float>(std::min(1.0, 1.0 / (probe.stats().norm() + 1e-6)));
        }
        FusedUpdate update(*backend, TileSize{}, *rule, step);
        model.backward(p, update, scale, /*keep=*/false);
      }));
      if (!clip && r == 0) {
        std::printf("\n%s, L %lld C %lld F %lld V %lld, %lld tokens: %.1f GFLOP a step\n",
                    std::string(to_string(dtype)).c_str(), static_cast<long long>(s.layers),
                    static_cast<long long>(s.width), static_cast<long long>(s.ffn),
                    static_cast<long long>(s.vocab), static_cast<long long>(s.tokens),
                    backend->ledger().flops() / 1e9);
        for (auto const& [name, op] : backend->ledger().ops()) {
          std::printf("  %-24s %6llu calls %10.2f GFLOP %9.1f MB\n", name.c_str(),
                      static_cast<unsigned long long>(op.calls), op.cost.flops / 1e9,
                      op.cost.bytes / 1e6);
        }
      }
    }
  }
  const double flops = [&] {
    backend->ledger().restart();
    Pass p = model.forward(batch, Recompute::none);
    NormProbe probe(*backend, TileSize{}, 1);
    model.backward(p, probe, scale, /*keep=*/false);
    return backend->ledger().flops();
  }();
  const double peak = median(rate);
  std::printf(
      "  product %.1f GFLOP/s; forward %.3f s; step %.3f s (%.0f tokens/s, %.0f %% of the "
      "product rate); clipped in two passes %.3f s (x %.2f)\n",
      peak / 1e9, median(forward), median(plain), static_cast<double>(s.tokens) / median(plain),
      100 * flops / median(plain) / peak, median(clipped), median(clipped) / median(plain));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 7) {
    const auto arg = [argv](int i) { return std::strtoll(argv[i], nullptr, 10); };
    const ModelShape shape{arg(1), arg(2), arg(3), arg(4), arg(5)};
    for (const DType dtype : {DType::f32, DType::bf16}) run(shape, dtype, static_cast<int>(arg(6)));
    return 0;
  }
  for (const DType dtype : {DType::f32, DType::bf16}) {
    run({4, 128, 344, 1024, 2048}, dtype, 5);
    run({4, 512, 1408, 8000, 2048}, dtype, 3);
  }
}
