#include "lomo/train/gemm_peak.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "lomo/core/error.h"
#include "stopwatch.h"

namespace lomo {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kSide = 1024;
constexpr std::int64_t kMaxSide = 8192;  // 400 MB in 16 bits; fills every GPU there is
constexpr double kSeconds = 0.25;        // long enough to outlast a neighbour's burst
constexpr double kLongest = 0.05;        // seconds of one product
constexpr double kGrows = 1.05;

template <class T>
void fill_as(Backend& backend, Tensor t) {
  std::vector<T> row(static_cast<std::size_t>(t.cols()));
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] = round_to<T>(static_cast<float>(i * 37 % 97) / 48.0f - 1.0f);
  }
  for (std::int64_t r = 0; r < t.rows(); ++r) {
    backend.upload(t.row_block(r, 1), std::as_bytes(std::span(row)));
  }
}

/// Numbers around one, not zeros, with which processors draw less power and clock higher.
void fill(Backend& backend, Tensor t) {
  if (t.dtype() == DType::bf16) return fill_as<bf16>(backend, t);
  t.dtype() == DType::f16 ? fill_as<f16>(backend, t) : fill_as<float>(backend, t);
}

double rate_of_product(Backend& backend, DType dtype, std::int64_t side) {
  const Shape square(side, side);
  const Buffer x = backend.allocate(square, dtype, Category::workspace, "probe x");
  const Buffer w = backend.allocate(square, dtype, Category::workspace, "probe w");
  const Buffer y = backend.allocate(square, dtype, Category::workspace, "probe y");
  fill(backend, x);
  fill(backend, w);
  backend.linear(y, x, w);  // makes the primitive
  if (!backend.computes()) return 0;
  double best = 0;
  for (const auto begin = Clock::now(); seconds_since(begin) < kSeconds;) {
    const double before = backend.ledger().flops();
    backend.synchronize();
    const auto start = Clock::now();
    backend.linear(y, x, w);
    backend.synchronize();
    const double seconds = seconds_since(start);
    if (seconds > 0) best = std::max(best, (backend.ledger().flops() - before) / seconds);
  }
  return best;
}

}  // namespace

double measure_gemm_peak(Backend& backend, DType dtype) {
  if (backend.device() != Device::cuda) return rate_of_product(backend, dtype, kSide);
  return best_of_growing_products(kSide, kMaxSide, [&](std::int64_t side) {
    try {
      return rate_of_product(backend, dtype, side);
    } catch (Error const& error) {
      if (error.code() != Exit::memory || side == kSide) throw;
      return 0.0;  // no room for it
    }
  });
}

double best_of_growing_products(std::int64_t first, std::int64_t last,
                                std::function<double(std::int64_t)> const& rate_of) {
  double best = rate_of(first);
  for (std::int64_t side = 2 * first; side <= last; side *= 2) {
    const auto n = static_cast<double>(side);
    if (2 * n * n * n > kLongest * best) break;
    const double rate = rate_of(side);
    const bool grows = rate > kGrows * best;
    best = std::max(best, rate);
    if (!grows) break;
  }
  return best;
}

}  // namespace lomo
