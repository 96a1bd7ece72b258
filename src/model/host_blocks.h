#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lomo/core/tensor.h"

namespace lomo {

/// Calls f(block, first element) for row blocks of a tensor that take about 4 MiB each: weights
/// pass through the host in pieces, so that loading and saving never hold a second copy of one.
template <class F>
void for_each_host_block(Tensor tensor, F&& f) {
  constexpr std::int64_t kElements = 1 << 20;
  const std::int64_t cols = std::max<std::int64_t>(tensor.cols(), 1);
  const std::int64_t step = std::max<std::int64_t>(kElements / cols, 1);
  for (std::int64_t row = 0; row < tensor.rows(); row += step) {
    f(tensor.row_block(row, std::min(step, tensor.rows() - row)), row * tensor.cols());
  }
}

/// Calls f with a value of a storage type of weights: f(float{}), f(bf16{}) or f(f16{}).
template <class F>
void with_storage_type(DType type, F&& f) {
  if (type == DType::f32) return f(float{});
  if (type == DType::bf16) return f(bf16{});
  f(f16{});
}

}  // namespace lomo
