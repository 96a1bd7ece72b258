#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "bench.h"
#include "lomo/core/text.h"
#include "lomo/parallel/ownership.h"
#include "operands.h"

namespace lomo::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds of one exchange, the slowest rank's, over some repetitions.
struct Times {
  double median = 0, minimum = 0, maximum = 0;
};

/// Calls `exchange` on all ranks at once, again and again. Returns when it is done on this one.
template <class F>
Times times_of(Communicator& ranks, int repetitions, F const& exchange) {
  std::vector<double> times;
  for (int i = 0; i <= repetitions; ++i) {
    ranks.barrier();
    const auto start = Clock::now();
    exchange();
    times.push_back(std::ranges::max(ranks.all_gather_host(seconds_since(start))));
  }
  times.erase(times.begin());  // the first makes connections and touches memory
  std::ranges::sort(times);
  return {times[times.size() / 2], times.front(), times.back()};
}

/// The exchanges of a training step among the ranks of an engine, each by itself.
class Exchanges {
 public:
  Exchanges(Engine const& engine, CommOptions const& options)
      : backend_(*engine), ranks_(engine.ranks()), o_(options), operands_(*engine) {}

  void run() {
    heading();
    ModelConfig const& m = o_.extents.model;
    const std::int64_t attended = m.heads * m.head_width, keys = m.kv_heads * m.head_width;
    // Gathers of a step with a norm pass, blocks recomputed: docs/ARCHITECTURE.md.
    for (Matrix const& matrix :
         {Matrix{"q_proj", attended, m.width, 1, 5}, Matrix{"k_proj, v_proj", keys, m.width, 2, 5},
          Matrix{"o_proj", m.width, attended, 1, 5}, Matrix{"gate_proj", m.ffn, m.width, 1, 5},
          Matrix{"up_proj", m.ffn, m.width, 1, 3}, Matrix{"down_proj", m.width, m.ffn, 1, 3}}) {
      gather(matrix);
      tile(matrix);
    }
    factors();
    small();
    total();
  }

 private:
  static constexpr int kBackwards = 2;

  struct Matrix {  // (O,I)
    std::string name;
    std::int64_t rows, cols;
    int alike;    // of them in a block
    int gathers;  // of each in a step
  };

  void gather(Matrix const& m) {
    const std::vector<std::int64_t> counts = owned_counts(m.rows, ranks_.size());
    const std::int64_t own = counts[static_cast<std::size_t>(ranks_.rank())];
    const Tensor all = operands_.zeros(Shape(m.rows, m.cols), o_.extents.type);
    const Tensor mine = operands_.zeros(Shape(own, m.cols), o_.extents.type);
    measure("all_gather", m.name, m.alike * m.gathers,
            [&] { return ranks_.all_gather(all, mine, counts); });
  }

  /// One row tile of every owner.
  void tile(Matrix const& m) {
    const std::int64_t maximum = owned_rows(m.rows, 0, ranks_.size()).count;
    const std::int64_t t = std::min(o_.tile.rows_for(Shape(m.rows, m.cols)), maximum);
    const std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks_.size()), t);
    const Tensor sent = operands_.zeros(Shape(ranks_.size() * t, m.cols), o_.comm_dtype);
    const Tensor received = operands_.zeros(Shape(ranks_.size() * t, m.cols), o_.comm_dtype);
    const double tiles = static_cast<double>(maximum) / static_cast<double>(t);
    measure("all_to_all", counted(t, "row") + " of " + m.name, m.alike * kBackwards * tiles,
            [&] { return ranks_.all_to_all(received, sent, counts, counts); });
  }

  /// A factor of the layer with most outputs, of the next rank: how norms are sent where that is
  /// less than tiles, which it is not in the sum for a block.
  void factors() {
    const std::int64_t n = o_.extents.tokens, cols = 2 * o_.extents.model.ffn;
    const int ranks = ranks_.size(), self = ranks_.rank();
    std::vector<std::int64_t> from(static_cast<std::size_t>(ranks)), to(from);
    from[static_cast<std::size_t>((self + 1) % ranks)] = n;
    to[static_cast<std::size_t>((self + ranks - 1) % ranks)] = n;
    const Tensor sent = operands_.zeros(Shape(n, cols), o_.extents.type);
    const Tensor received = operands_.zeros(Shape(n, cols), o_.extents.type);
    measure("all_to_all", "one rank's dy of gate_proj, up_proj", 0,
            [&] { return ranks_.all_to_all(received, sent, from, to); });
  }

  /// What is too small for a rate: its time is the latency of an exchange.
  void small() {
    const std::vector<std::int64_t> one(static_cast<std::size_t>(ranks_.size()), 1);
    const Tensor all = operands_.zeros(Shape(ranks_.size(), o_.extents.model.width), DType::f32);
    const Tensor mine = operands_.zeros(Shape(1, o_.extents.model.width), DType::f32);
    measure("all_gather", "the gradient of a norm", 0,
            [&] { return ranks_.all_gather(all, mine, one); });
    print("host", "8 bytes of each rank", 8.0 * (ranks_.size() - 1),
          times_of(ranks_, o_.repetitions, [&] { ranks_.all_gather_host(0.0); }));
  }

  /// `in_a_step`: how often a block of the model makes this exchange in a step.
  template <class F>
  void measure(char const* exchange, std::string const& of, double in_a_step, F const& issue) {
    backend_.synchronize();
    backend_.ledger().restart();
    ranks_.wait(issue());
    const double received = backend_.ledger().ops().at(exchange).cost.received;
    const Times times = times_of(ranks_, o_.repetitions, [&] {
      ranks_.wait(issue());
      backend_.synchronize();
    });
    print(exchange, of, received, times);
    received_ += in_a_step * received;
    seconds_ += in_a_step * times.median;
    operands_.clear();
  }

  void heading() const {
    if (ranks_.rank() != 0) return;
    std::printf("%-11s %-36s %12s %10s %21s %8s\n", "exchange", "of", "MiB received", "ms median",
                "ms least to most", "GB/s");
  }

  /// What rank 0 receives, which owns the most rows: no other receives less.
  void print(char const* exchange, std::string const& of, double received,
             Times const& times) const {
    if (ranks_.rank() != 0) return;
    std::printf("%-11s %-36s %12.3f %10.3f %10.3f %10.3f %8.3f\n", exchange, of.c_str(),
                received / 0x1p20, times.median * 1e3, times.minimum * 1e3, times.maximum * 1e3,
                received / times.median / 1e9);
    std::fflush(stdout);
  }

  void total() const {
    if (ranks_.rank() != 0) return;
    std::printf(
        "\nall that a block's matrices exchange in a step with a norm pass: %.3f MiB received in "
        "%.1f ms, %.3f GB/s\n",
        received_ / 0x1p20, seconds_ * 1e3, received_ / seconds_ / 1e9);
  }

  Backend& backend_;
  Communicator& ranks_;
  CommOptions const& o_;
  Operands operands_;
  double received_ = 0, seconds_ = 0;  // of a block in a step
};

}  // namespace

void bench_comm(Engine const& engine, CommOptions const& options) {
  Exchanges(engine, options).run();
}

}  // namespace lomo::bench
