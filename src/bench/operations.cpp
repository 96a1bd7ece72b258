#include <algorithm>
#include <chrono>
#include <cstdio>

#include "bench.h"
#include "cases.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/plan/step_time.h"

namespace lomo::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of_calls(Backend& backend, std::function<void()> const& call, int calls) {
  backend.synchronize();
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) call();
  backend.synchronize();
  return std::chrono::duration<double>(Clock::now() - start).count() / calls;
}

void print_line(Recipe const& recipe, Cost cost, double seconds, Extents const& e,
                DeviceProfile const& peaks) {
  bool compute_bound = false;
  const double minimum = expected_seconds(recipe.name, cost, e.type, peaks, &compute_bound);
  std::printf("%-22s %-46s %11.1f %9.2f %9.3f %6.0f %s\n", recipe.name.c_str(), recipe.what.c_str(),
              seconds * 1e6, cost.bytes / seconds / 1e9, cost.flops / seconds / 1e12,
              100 * minimum / seconds, compute_bound ? "products" : "memory");
  std::fflush(stdout);
}

}  // namespace

double seconds_of(Backend& backend, std::function<void()> const& call, int repetitions) {
  constexpr double kMin = 5e-3;  // what the clock and the wait at the end do not show in
  call();
  const double once = seconds_of_calls(backend, call, 1);
  const int calls = std::max(1, static_cast<int>(std::min(1e4, kMin / std::max(once, 1e-9))));
  std::vector<double> samples;
  for (int i = 0; i < repetitions; ++i) samples.push_back(seconds_of_calls(backend, call, calls));
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

void bench_operations(Backend& backend, Extents const& extents, DeviceProfile const& peaks,
                      std::string const& only, int repetitions) {
  std::vector<Recipe> all;
  add_memory_cases(all, extents);
  add_linear_cases(all, extents);
  add_row_cases(all, extents);
  add_block_cases(all, extents);
  add_head_cases(all, extents);
  add_rank_cases(all, extents);
  add_update_cases(all, extents);
  std::erase_if(all, [&](Recipe const& r) { return r.name.find(only) == std::string::npos; });
  if (all.empty())
    throw Error(Exit::usage,
                "--only " + shell_quoted(only) + ": no operation has that in its name");

  std::printf("%-22s %-46s %11s %9s %9s %6s %s\n", "operation", "of", "us", "GB/s", "TFLOP/s",
              "% peak", "bound by");
  Operands operands(backend);
  for (Recipe const& recipe : all) {
    const std::function<void()> call = recipe.make(backend, operands);
    backend.synchronize();
    backend.ledger().restart();
    call();
    const Cost cost = backend.ledger().ops().at(recipe.name).cost;
    print_line(recipe, cost, seconds_of(backend, call, repetitions), extents, peaks);
    operands.clear();
  }
}

}  // namespace lomo::bench
